"""Defects that pay for the same bytes twice, or for nothing."""

from __future__ import annotations

from tests.defects.defect import Defect, lines

REPEATED = r"\d+ calls repeated, \d+ may be"
ONCE = "nothing is paid twice"

PAID_ONCE = (
    Defect(
        name="versions not claimed",
        promise=ONCE,
        file="jobs/settle.py",
        edits=(("    return await write(parts.ledger, marked, run.terms.retry)\n", "    return list(marked)\n"),),
        says="made a call for [^ ]+ that it had not claimed",
        seeds=range(1),
    ),
    Defect(
        name="content not claimed",
        promise=ONCE,
        file="jobs/answer.py",
        edits=(("if step.price and content_hash not in run.paying:", "if not step.price:"),),
        says="made a call for the bytes of [^ ]+ that it had not claimed",
        seeds=range(1),
    ),
    Defect(
        name="content let go before its answer is stored",
        promise=ONCE,
        file="jobs/answer.py",
        edits=(
            (
                "    flying.set_result(analysis)\n",
                "    flying.set_result(analysis)\n    await answered(content_hash, parts=parts, run=run)\n",
            ),
        ),
        says=REPEATED,
        seeds=range(155, 156),
    ),
    Defect(
        name="identical bytes in flight not noticed",
        promise=ONCE,
        file="jobs/answer.py",
        edits=(("    flying = run.answering.get(content_hash)\n", "    flying = None\n"),),
        says=REPEATED,
        seeds=range(1),
    ),
    Defect(
        name="stored answers not reused",
        promise=ONCE,
        file="jobs/answer.py",
        edits=(("    return found.analysis if found is not None else None\n", "    return None\n"),),
        says=REPEATED,
        seeds=range(2, 3),
    ),
    Defect(
        name="answer of an older version not kept",
        promise=ONCE,
        file="jobs/settle.py",
        edits=(("    if ids:\n        full =", "    if not ids:\n        full ="),),
        says=REPEATED,
        seeds=range(10, 11),
    ),
    Defect(
        name="answer that came too late not kept",
        promise=ONCE,
        file="jobs/settle.py",
        edits=(("    if kept:\n        await write(", "    if not kept:\n        await write("),),
        says="FAILED .*test_an_answer_that_comes_too_late_for_its_version_is_kept_for_its_bytes",
        test="tests/unit/test_claims.py",
    ),
    Defect(
        name="rejected image tried again at once",
        promise=ONCE,
        file="jobs/answer.py",
        edits=(
            ("from jobs.errors import Halted,", "from jobs.errors import Halted, Rejected,"),
            ("await ready.make(door)", "await _twice(ready, door)"),
            (
                "async def _call(",
                lines(
                    "async def _twice(ready: Ready[Analysis], door: Door) -> Step[Analysis]:",
                    "    try:",
                    "        return await ready.make(door)",
                    "    except Rejected:",
                    "        return await ready.make(door)",
                    "",
                    "",
                )
                + "async def _call(",
            ),
        ),
        says=REPEATED,
        seeds=range(24, 25),
    ),
    Defect(
        name="rejected image tried again later",
        promise=ONCE,
        file="jobs/settle.py",
        edits=(
            (
                "            return decide.dead(record, error.failure_class, error.cause, now=now)\n        case Gone():",
                "            return decide.deferred(record, error.failure_class, error.cause, now=now)\n        case Gone():",
            ),
        ),
        says="was due, and is still deferred",
        seeds=range(1, 2),
    ),
    Defect(
        name="lease not asked before calls",
        promise=ONCE,
        file="jobs/work.py",
        edits=(("        return hold.left() > terms.call_seconds\n", "        return True\n"),),
        says="made a call without a lease that outlives it",
        seeds=range(17, 18),
    ),
    Defect(
        name="lease not asked in the moment of a call",
        promise=ONCE,
        file="jobs/run.py",
        edits=(("if self.halted is not None or not self.covered():", "if self.halted is not None:"),),
        says="made a call without a lease that outlives it",
        seeds=range(17, 18),
    ),
    Defect(
        name="reuse whatever the model",
        promise="the result is true",
        file="jobs/work.py",
        edits=(
            ("partial(ports.ledger.answers, hashes, ports.classifier.asked)", 'partial(ports.ledger.answers, hashes, "fake:1")'),
        ),
        says="was asked fake:2, has another's answer",
        seeds=range(1),
    ),
    Defect(
        name="reuse ignores the fingerprint",
        promise="the result is true",
        file="jobs/adapters/sqlite.py",
        edits=(("WHERE answer_hash = value AND asked = ?)", "WHERE answer_hash = value AND ? IS NOT NULL)"),),
        says="FAILED .*test_answers_are_found_by_hash_and_question",
        test="tests/contract/test_ledger.py",
    ),
    Defect(
        name="rest of a budget given back twice",
        promise="budgets hold",
        file="jobs/budget.py",
        edits=(("version, policy or self.policy)", "version, self.policy)"),),
        says="FAILED .*test_a_lost_acknowledgement_gives_nothing_back_twice",
        test="tests/unit/test_accounts.py",
    ),
)
