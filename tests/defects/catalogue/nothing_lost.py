"""Defects that lose a blob: of the watermark, the checkpoint, and what is deferred."""

from __future__ import annotations

from tests.defects.defect import Defect, lines

PASSED = r"the (watermark|checkpoint) .* passed"
STILL = "was due, and is still deferred"
LOST = "nothing is lost"

NOTHING_LOST = (
    Defect(
        name="boundary exclusive",
        promise=LOST,
        file="jobs/sweep.py",
        edits=(("blob.modified >= lower", "blob.modified > lower"),),
        says=PASSED,
        seeds=range(147, 148),
    ),
    Defect(
        name="no look-back",
        promise=LOST,
        file="jobs/watermark.py",
        edits=(("scan.watermark - lookback if", "scan.watermark if"),),
        says=PASSED,
        seeds=range(10, 11),
    ),
    Defect(
        name="scan start by the worker's wall clock",
        promise=LOST,
        file="jobs/sweep.py",
        edits=(
            ("import asyncio\n", "import asyncio\nimport time\nfrom datetime import UTC, datetime\n"),
            ("now=await work.ports.source.now()", "now=datetime.fromtimestamp(time.time(), UTC)"),
        ),
        says=PASSED,
        seeds=range(2, 3),
    ),
    Defect(
        name="scan start by the store's clock",
        promise=LOST,
        file="jobs/sweep.py",
        edits=(("now=await work.ports.source.now()", "now=work.run.now()"),),
        says=PASSED,
        seeds=range(2, 3),
    ),
    Defect(
        name="watermark at the scan's end",
        promise=LOST,
        file="jobs/sweep.py",
        edits=(
            ("import asyncio\n", "import asyncio\nfrom dataclasses import replace\n"),
            (
                "await place.save(complete(place.scan))",
                "await place.save(replace(complete(place.scan), watermark=await work.ports.source.now()))",
            ),
        ),
        says=PASSED,
        seeds=range(14, 15),
    ),
    Defect(
        name="watermark after an incomplete scan",
        promise=LOST,
        file="jobs/scan.py",
        edits=(("return await before and whole and work.run.halted is None", "return await before or True"),),
        says=PASSED,
        seeds=range(8, 9),
    ),
    Defect(
        name="unread folders ignored",
        promise=LOST,
        file="jobs/watermark.py",
        edits=(("if checkpoint is None or checkpoint.unread:", "if checkpoint is None:"),),
        says=PASSED,
        seeds=range(11, 12),
    ),
    Defect(
        name="checkpoint on the last name listed",
        promise=LOST,
        file="jobs/scan.py",
        edits=(
            (
                "                    number += 1\n",
                "                    number += 1\n                    await _move_past(work, page)\n",
            ),
            ("            await _move_past(work, page)\n            whole = True\n", "            whole = True\n"),
        ),
        says=PASSED,
        seeds=range(1),
    ),
    Defect(
        name="checkpoint before store and publish",
        promise=LOST,
        file="jobs/scan.py",
        edits=(
            (
                lines(
                    "        reached = await settle_page(work, taken, name=name)",
                    "        if await before and reached:",
                    "            await _move_past(work, page)",
                    "            whole = True",
                ),
                lines(
                    "        if await before:",
                    "            await _move_past(work, page)",
                    "            whole = await settle_page(work, taken, name=name)",
                ),
            ),
        ),
        says=PASSED,
        seeds=range(1),
    ),
    Defect(
        name="checkpoint without the pages before",
        promise=LOST,
        file="jobs/scan.py",
        edits=(("if await before and reached:", "if reached:"),),
        says=f"{PASSED}|the checkpoint moved back",
        seeds=range(1),
    ),
    Defect(
        name="deferred blobs dropped",
        promise=LOST,
        file="jobs/sweep.py",
        edits=(("        await _retry_deferred(work, prefix=prefix)\n", ""),),
        says=STILL,
        seeds=range(1, 2),
    ),
    Defect(
        name="deferred blobs tried at their old version",
        promise=LOST,
        file="jobs/work.py",
        edits=(("    return blob or decide.recorded(", "    return decide.recorded("),),
        says=STILL,
        seeds=range(14, 15),
    ),
    Defect(
        name="lost claim left to its winner",
        promise=LOST,
        file="jobs/settle.py",
        edits=(
            (
                "        if not lost:\n            return taken\n",
                "        run.counts.settle(Outcome.DEFERRED, len(lost))\n        return taken\n",
            ),
        ),
        says="FAILED .*test_a_claim_lost_to_what_became_of_an_older_version_is_made_again",
        test="tests/unit/test_claims.py",
    ),
    Defect(
        name="service error buries the image",
        promise="one bad image stops nothing",
        file="jobs/settle.py",
        edits=(
            (
                "        case _:\n            run.halt(error)\n    return",
                '        case _:\n            return decide.dead(record, "refused", error.cause, now=now)\n    return',
            ),
        ),
        says=r"is dead: Failure\(failure_class='refused'",
        seeds=range(248, 249),
    ),
    Defect(
        name="archived blobs read",
        promise="archived is deferred",
        file="jobs/settle.py",
        edits=(("        if item.blob.archived:\n", "        if item.blob.archived is False:\n"),),
        says="read while archived",
        seeds=range(3, 4),
    ),
    Defect(
        name="archived blobs read by a dry audit",
        promise="archived is deferred",
        file="jobs/mend.py",
        edits=(("if blob.archived or decide.refusal(", "if decide.refusal("),),
        says="read while archived",
        seeds=range(104, 105),
    ),
    Defect(
        name="due at once, by a clock that is taken for exact",
        promise=LOST,
        file="jobs/decide.py",
        edits=(("GRAIN = timedelta(seconds=2)", "GRAIN = timedelta(0)"),),
        says="a sweep called itself complete, and left",
        seeds=range(53, 54),
    ),
)
