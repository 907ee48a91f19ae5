"""The function app: triggers only. Each function reads what the host hands it, calls `jobs.app`, and returns.

docs/functions.md says what each is for, and what an operator sees of it.
"""

from __future__ import annotations

import azure.functions as func

from jobs.app import answers, guard, observe, pages, schedule
from jobs.app.answers import Reply
from jobs.app.desk import CONNECTION, QUEUE, desk
from jobs.app.notices import notice

observe.begin()
app = func.FunctionApp(http_auth_level=func.AuthLevel[guard.level()])


@app.timer_trigger(arg_name="timer", schedule="%SWEEP_SCHEDULE%", use_monitor=True, run_on_startup=False)
async def nightly_sweep(timer: func.TimerRequest) -> None:
    """Begin a sweep of all sources and do its first slice."""
    observe.woken("nightly_sweep", past_due=timer.past_due)
    await schedule.nightly(desk())


@app.queue_trigger(arg_name="message", queue_name=QUEUE, connection=CONNECTION)
async def continue_sweep(message: func.QueueMessage) -> None:
    """Do the next slice of a sweep."""
    await schedule.carry_on(desk(), message.get_body().decode())


@app.queue_trigger(arg_name="message", queue_name=f"{QUEUE}-poison", connection=CONNECTION)
async def give_up_sweep(message: func.QueueMessage) -> None:
    """End a sweep whose slice failed too often, visibly."""
    await schedule.give_up(desk(), message.get_body().decode(errors="replace"))


@app.timer_trigger(arg_name="timer", schedule="%AUDIT_SCHEDULE%", use_monitor=True, run_on_startup=False)
async def weekly_audit(timer: func.TimerRequest) -> None:
    """Compare source, store and index, and mend what differs."""
    observe.woken("weekly_audit", past_due=timer.past_due)
    await schedule.weekly(desk())


@app.event_grid_trigger(arg_name="event")
async def on_blob_created(event: func.EventGridEvent) -> None:
    """Settle a blob that was written."""
    await _notice(event)


@app.event_grid_trigger(arg_name="event")
async def on_blob_deleted(event: func.EventGridEvent) -> None:
    """Take a blob that was deleted out of store and index."""
    await _notice(event)


@app.route(route="sweeps", methods=[func.HttpMethod.POST])
async def post_sweep(req: func.HttpRequest) -> func.HttpResponse:
    """Ask for a sweep."""
    return _response(await guard.guarded(req.headers, lambda: answers.post_sweep(desk(), req.get_body(), req.url)))


@app.route(route="sweeps/{id}", methods=[func.HttpMethod.GET])
async def get_sweep(req: func.HttpRequest) -> func.HttpResponse:
    """Look at a sweep."""
    return _response(await guard.guarded(req.headers, lambda: answers.get_sweep(desk(), req.route_params["id"], req.url)))


@app.route(route=f"{pages.ROUTE}/{{*path}}", methods=[func.HttpMethod.GET, func.HttpMethod.POST])
async def gallery(req: func.HttpRequest) -> func.HttpResponse:
    """Show the gallery, or answer its search API."""
    stopped = guard.stopped(req.headers)
    if stopped is not None:
        return _response(stopped)
    return await func.AsgiMiddleware(await pages.pages(desk())).handle_async(req)


@app.route(route="health", methods=[func.HttpMethod.GET], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Say whether all parts can be reached."""
    del req
    return _response(await answers.answer(lambda: answers.health(desk())))


async def _notice(event: func.EventGridEvent | func.CloudEvent) -> None:
    """Read an event of either schema; the runtime hands over whichever came."""
    kind = event.type if isinstance(event, func.CloudEvent) else event.event_type
    await notice(desk(), kind or "", event.subject or "", event.get_json() or {})


def _response(reply: Reply) -> func.HttpResponse:
    return func.HttpResponse(reply.text(), status_code=reply.status, headers=dict(reply.headers), mimetype=reply.kind)
