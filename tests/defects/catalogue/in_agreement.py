"""Defects by which store and index come apart, or a result is of other bytes than it says."""

from __future__ import annotations

from tests.defects.defect import Defect, lines

UNSEEN = r"the index shows .* no page is open"
AGREE = "store and index agree"

IN_AGREEMENT = (
    Defect(
        name="page closed before it is published",
        promise=AGREE,
        file="jobs/work.py",
        edits=(
            (
                lines("    records = await settle(taken, parts=work.parts, run=work.run)"),
                lines(
                    "    records = await settle(taken, parts=work.parts, run=work.run)",
                    "    await retry(partial(work.ports.state.remove, OpenPage, key, opened), policy)",
                ),
            ),
        ),
        says=UNSEEN,
        seeds=range(1),
    ),
    Defect(
        name="page not opened before it is stored",
        promise=AGREE,
        file="jobs/work.py",
        edits=(("OpenPage(work.run.owner, found.ids)", "OpenPage(work.run.owner, ())"),),
        says=UNSEEN,
        seeds=range(2966, 2967),
    ),
    Defect(
        name="stored and not published for a lost lease",
        promise=AGREE,
        file="jobs/work.py",
        edits=(
            (
                lines("    records = await settle(taken, parts=work.parts, run=work.run)"),
                lines(
                    "    records = await settle(taken, parts=work.parts, run=work.run)",
                    "    if work.hold.lost:",
                    '        raise LeaseLost("publish", work.place.key, "another process took the source over")',
                ),
            ),
        ),
        says="FAILED .*test_what_was_stored_is_published_also_when_the_lease_is_lost",
        test="tests/unit/test_claims.py",
    ),
    Defect(
        name="takeover omitted",
        promise=AGREE,
        file="jobs/work.py",
        edits=(("await take_over(work)", "pass"),),
        says="pages were not taken over",
        seeds=range(1, 2),
    ),
    Defect(
        name="takeover does not publish",
        promise=AGREE,
        file="jobs/work.py",
        edits=(("            await publish(records, ledger=work.ports.ledger, index=work.ports.index, run=work.run)\n", ""),),
        says=UNSEEN,
        seeds=range(40, 41),
    ),
    Defect(
        name="dead owner keeps its claims",
        promise="nothing is lost",
        file="jobs/work.py",
        edits=(("        if not claimed and not behind:\n", "        if claimed or not claimed:\n"),),
        says="FAILED .*test_what_a_dead_run_had_claimed_is_settled_by_the_sweep_that_takes_over",
        test="tests/unit/test_claims.py",
    ),
    Defect(
        name="refused documents ignored",
        promise=AGREE,
        file="jobs/publish.py",
        edits=(("if reason is not None}", 'if reason == "nothing"}'),),
        says=UNSEEN,
        seeds=range(8, 9),
    ),
    Defect(
        name="revisions not compared after publishing",
        promise=AGREE,
        file="jobs/publish.py",
        edits=(("and standing(current[record.id]) != standing(record)]", "and current[record.id].rev < 0]"),),
        says=UNSEEN,
        seeds=range(395, 396),
    ),
    Defect(
        name="another's removal not seen after publishing",
        promise=AGREE,
        file="jobs/model.py",
        edits=(("    return record.rev, record.unpublished\n", "    return record.rev, None\n"),),
        says="FAILED .*test_a_document_that_another_took_away_meanwhile_is_published_again",
        test="tests/unit/test_claims.py",
    ),
    Defect(
        name="lost acknowledgement taken for a loss",
        promise=AGREE,
        file="jobs/write.py",
        edits=(("and _stamp(ours) == _stamp(theirs):", "and _stamp(ours) != _stamp(theirs):"),),
        says=UNSEEN,
        seeds=range(15, 16),
    ),
    Defect(
        name="publishers write only the old index",
        promise=AGREE,
        file="jobs/both.py",
        edits=(("            if found is None or found[0].failed:\n", "            if found is None or found[0].fresh:\n"),),
        says=UNSEEN,
        seeds=range(8, 9),
    ),
    Defect(
        name="old index written before the new one",
        promise=AGREE,
        file="jobs/both.py",
        edits=(
            (
                lines("            try:", "                fresh = await write(await self._beside(found[0].fresh))"),
                lines(
                    "            try:",
                    "                used = await write(self._index)",
                    "                fresh = await write(await self._beside(found[0].fresh))",
                ),
            ),
            (
                lines("                used = await write(self._index)", '                self._faults = ("", 0)'),
                lines('                self._faults = ("", 0)'),
            ),
        ),
        says="FAILED .*test_whoever_publishes_beside_a_rebuild_is_in_the_index_after_it",
        test="tests/unit/test_reindex.py",
    ),
    Defect(
        name="document of a rebuild removed before the alias leads to it",
        promise=AGREE,
        file="jobs/reindex.py",
        edits=(("    await by.sleep(shelves.life.propagation)\n    await mark.remove()\n", "    await mark.remove()\n"),),
        says="FAILED .*test_whoever_publishes_beside_a_rebuild_is_in_the_index_after_it",
        test="tests/unit/test_reindex.py",
    ),
    Defect(
        name="new index given up in silence",
        promise=AGREE,
        file="jobs/both.py",
        edits=(
            (
                '            await self._state.put(self._key, replace(found[0], failed=f"{_who()}: {error}"), found[1])\n',
                "            return\n",
            ),
        ),
        says="FAILED .*test_a_new_index_that_is_broken_for_good_is_given_up_and_the_old_one_goes_on",
        test="tests/unit/test_both.py",
    ),
    Defect(
        name="revisions not compared before the switch",
        promise=AGREE,
        file="jobs/agree.py",
        edits=(("    return document != (record.id, record.rev)\n", "    return document[0] != record.id\n"),),
        says="FAILED .*test_revisions_are_compared_and_not_only_counted",
        test="tests/unit/test_reindex.py",
    ),
    Defect(
        name="unconditional result write",
        promise="newest version stands",
        file="jobs/settle.py",
        edits=(
            ("if theirs is not None and theirs.claim is not None and theirs.claim.owner == run.owner:", "if theirs is not None:"),
        ),
        says="was known as .* and was stored as classified|was passed by the watermark, and is",
        seeds=range(1392, 1393),
    ),
    Defect(
        name="audit without brake",
        promise="deletions have a brake",
        file="jobs/audit.py",
        edits=(("    if found.deletions <= max(", "    if found.deletions >= 0 or found.deletions <= max("),),
        says="FAILED .*test_the_brake_holds_back_every_deletion_and_nothing_else",
        test="tests/unit/test_audit_safety.py",
    ),
)
