"""Defects that let two processes sweep one source."""

from __future__ import annotations

from tests.defects.defect import Defect, lines

SOLE = "one sweep per source"

ONE_SWEEP = (
    Defect(
        name="unconditional checkpoint write",
        promise=SOLE,
        file="jobs/work.py",
        edits=(
            (
                lines("            self.version = await put(self.state, self.key, scan, self.version, self.policy)"),
                lines(
                    "            found = await retry(partial(self.state.get, Scan, self.key), self.policy)",
                    "            self.version = await put(self.state, self.key, scan, found and found[1], self.policy)",
                ),
            ),
        ),
        says="the watermark moved back|the checkpoint moved back|by one who had lost the lease",
        seeds=range(38, 39),
    ),
    Defect(
        name="lease taken while another holds it",
        promise=SOLE,
        file="jobs/lease.py",
        edits=(("if found and found[0].expires > now and", "if found and found[0].expires < now and"),),
        says="took the lease .* before its end",
        seeds=range(1, 2),
    ),
    Defect(
        name="storing after the lease was lost",
        promise=SOLE,
        file="jobs/lease.py",
        edits=(
            (
                lines("            self._version = await put(state, self.key, lease, self._version, policy)"),
                lines(
                    "            found = await retry(partial(state.get, Lease, self.key), policy)",
                    "            self._version = await put(state, self.key, lease, found and found[1], policy)",
                ),
            ),
        ),
        says="took the lease .* before its end",
        seeds=range(17, 18),
    ),
    Defect(
        name="content taken while another pays for it",
        promise="nothing is paid twice",
        file="jobs/hashes.py",
        edits=(("found[0].expires > now and", "found[0].expires < now and"),),
        says="took the lease hash.* before its end",
        seeds=range(5, 6),
    ),
    Defect(
        name="place taken after the lease had ended",
        promise=SOLE,
        file="jobs/work.py",
        edits=(("    if hold.left() <= 0:\n", "    if hold.left() < 0 < hold.left():\n"),),
        says="a scan was written by one who had lost the lease",
        seeds=range(324, 325),
    ),
)
