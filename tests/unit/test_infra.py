"""The deployment in infra/ and the program agree: containers, settings, functions, figures, log lines, and what is said of them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import yaml

from jobs.adapters.cosmos_containers import PARTITIONS, index_policy
from jobs.app.desk import CONNECTION
from jobs.settings import Settings
from jobs.telemetry import COUNTED, OUTCOMES, SCOPE

ROOT = Path(__file__).parent.parent.parent
INFRA = ROOT / "infra"
MODULES = INFRA / "modules"
BICEP = {path.relative_to(INFRA).as_posix(): path.read_text() for path in INFRA.rglob("*.bicep")}
MAIN = BICEP["main.bicep"]
DEPLOY = (ROOT / "docs/deploy.md").read_text()
FUNCTIONS = (ROOT / "docs/functions.md").read_text()
KNOWN = {f"IMAGESWEEP_{name.upper()}" for name in Settings.model_fields}
HOST = {
    f"{CONNECTION}__accountName",
    f"{CONNECTION}__credential",
    f"{CONNECTION}__clientId",
    "AZURE_CLIENT_ID",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY",
}
"""Settings of the app that are of the host or the SDKs."""


def functions() -> dict[str, str]:
    """Return the text of the decorators of each function of the app."""
    tree = ast.parse((ROOT / "function_app.py").read_text())
    found = [node for node in tree.body if isinstance(node, ast.AsyncFunctionDef) and node.decorator_list]
    return {node.name: " ".join(map(ast.unparse, node.decorator_list)) for node in found}


def container(name: str) -> str:
    """Return the text of one container in Bicep."""
    text = BICEP["modules/cosmos.bicep"]
    found = re.search(rf"^resource {name} '.*?^}}$", text, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[0]


def paths(text: str, name: str) -> list[dict[str, str]]:
    """Return a list of paths of an index policy in Bicep."""
    found = re.search(rf"{name}: \[(.*?)\]", text, re.DOTALL)
    assert found is not None, name
    return [{"path": one} for one in re.findall(r"path: '([^']+)'", found[1])]


def deployed_settings() -> set[str]:
    return set(re.findall(r"\{ name: '(\w+)', value:", BICEP["modules/app.bicep"]))


def test_the_containers_of_the_store_are_those_of_the_program() -> None:
    made = re.findall(r"^resource (\w+) 'Microsoft\.DocumentDB/.*/containers@", BICEP["modules/cosmos.bicep"], re.MULTILINE)
    assert set(made) == set(PARTITIONS)


@pytest.mark.parametrize("name", sorted(PARTITIONS))
def test_a_container_has_the_name_key_and_index_policy_of_the_program(name: str) -> None:
    text = container(name)
    assert f"\n  name: '{name}'\n" in text
    assert f"\n      id: '{name}'\n" in text
    assert f"paths: ['{PARTITIONS[name]}']" in text
    policy = index_policy(name)
    assert re.findall(r"indexingMode: '(\w+)'", text) == [policy["indexingMode"]]
    assert re.findall(r"automatic: (\w+)", text) == [str(policy["automatic"]).lower()]
    assert paths(text, "includedPaths") == policy["includedPaths"]
    assert paths(text, "excludedPaths") == policy["excludedPaths"]


def test_a_container_keeps_what_it_has() -> None:
    assert "defaultTtl" not in BICEP["modules/cosmos.bicep"]


def test_every_setting_of_the_app_exists() -> None:
    schedules = set(re.findall(r"%(\w+)%", (ROOT / "function_app.py").read_text()))
    assert deployed_settings() - KNOWN == HOST | schedules


def test_the_app_has_all_parts_and_no_key() -> None:
    assert {f"IMAGESWEEP_{part}" for part in ("SOURCE", "CLASSIFIER", "STORE", "INDEX", "HTTP_AUTH")} <= deployed_settings()
    assert not [name for name in deployed_settings() if name.endswith("_KEY")]


def test_what_azd_hands_to_the_command_line_are_settings() -> None:
    handed = set(re.findall(r"^output (IMAGESWEEP_\w+) ", MAIN, re.MULTILINE))
    assert {"IMAGESWEEP_SOURCE", "IMAGESWEEP_STORE"} <= handed <= KNOWN


def test_every_setting_in_infra_exists() -> None:
    for path in (path for path in INFRA.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        assert set(re.findall(r"IMAGESWEEP_[A-Z_]*[A-Z]", path.read_text())) <= KNOWN, path


def test_events_go_to_functions_that_take_them() -> None:
    named = re.findall(r"functions/(\w+)'", BICEP["events.bicep"])
    assert sorted(named) == ["on_blob_created", "on_blob_deleted"]
    for name in named:
        assert "event_grid_trigger" in functions()[name]
        about = name.removeprefix("on_blob_").capitalize()
        assert re.search(
            rf"functions/{name}'.*?includedEventTypes: \['Microsoft\.Storage\.Blob{about}'\]", BICEP["events.bicep"], re.DOTALL
        )


def told() -> str:
    """Return all queries: those of the alerts, and those of the workbook."""
    items = json.loads((INFRA / "workbook.json").read_text())["items"]
    return "\n".join([BICEP["modules/alerts.bicep"], *(one["content"]["query"] for one in items if "query" in one["content"])])


def test_queries_name_figures_that_are_told() -> None:
    known = {f"{SCOPE}.{name}" for name in ("settled", "runs", "rate", "lag", *COUNTED)}
    assert {f"{SCOPE}.{name}" for name in ("settled", "runs", "lag")} <= set(re.findall(r"'(imagesweep\.\w+)'", told())) <= known
    assert all(f"`{name}`" in FUNCTIONS for name in known)


def test_queries_name_lines_that_are_logged() -> None:
    logged = {name for path in (ROOT / "jobs/app").glob("*.py") for name in re.findall(r'"(round\.\w+)"', path.read_text())}
    assert {"round.end", "round.poisoned"} <= set(re.findall(r"round\.\w+", told())) <= logged


def test_queries_name_functions_and_outcomes_that_are_there() -> None:
    [named] = re.findall(r"name in \((('\w+_\w+'(?:, )?)+)\)", BICEP["modules/alerts.bicep"])
    assert set(re.findall(r"\w+", named[0])) <= set(functions())
    assert set(re.findall(r"customDimensions\.outcome\) == '(\w+)'", told())) <= set(OUTCOMES)


def test_the_four_alerts_are_there_and_documented() -> None:
    alerts = re.findall(r"displayName: 'imagesweep: (.+)'", BICEP["modules/alerts.bicep"])
    assert len(alerts) == 4
    for alert in alerts:
        assert f"| {alert} |" in DEPLOY


def test_nothing_is_to_be_had_by_key() -> None:
    assert "allowSharedKeyAccess: false" in BICEP["modules/storage.bicep"]
    for name in ("vision", "cosmos", "search"):
        assert "disableLocalAuth: true" in BICEP[f"modules/{name}.bicep"]
    for name, text in BICEP.items():
        assert not re.search(r"listKeys|AccountKey|listAdminKeys", text), name


def test_roles_are_in_one_file_each_with_its_reason() -> None:
    built_in = r"'[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}'"
    assert [name for name, text in BICEP.items() if re.search(built_in, text)] == ["modules/roles.bicep"]
    lines = BICEP["modules/roles.bicep"].splitlines()
    for number, line in enumerate(lines):
        if re.search(built_in, line):
            assert lines[number - 1].startswith("// "), line
    assert all("roleAssignments@" not in text for name, text in BICEP.items() if name != "modules/roles.bicep")
    names = re.findall(
        r"^resource \w+ '\S+oleAssignments@.*?name: (\S+?)\(", BICEP["modules/roles.bicep"], re.MULTILINE | re.DOTALL
    )
    assert names
    assert set(names) == {"guid"}


def test_every_parameter_of_azd_is_one_of_the_template_and_explained() -> None:
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    asked = re.findall(r"^param (\w+) ", MAIN, re.MULTILINE)
    assert sorted(given) == sorted(asked)
    variables = re.findall(r"\$\{(\w+)", json.dumps(given))
    for name in set(variables) - {"AZURE_ENV_NAME", "AZURE_LOCATION"}:
        assert f"`{name}`" in DEPLOY, name


def test_every_module_is_given_what_it_asks_for() -> None:
    for name, text in BICEP.items():
        calls = re.findall(r"^module \w+ '([^']+)'.*?^  params: \{\n(.*?)^  \}", text, re.MULTILINE | re.DOTALL)
        assert len(calls) == len(re.findall(r"^module ", text, re.MULTILINE))
        for path, given in calls:
            module = BICEP[((INFRA / name).parent / path).resolve().relative_to(INFRA).as_posix()]
            known = dict(re.findall(r"^param (\w+) \w+( =)?", module, re.MULTILINE))
            passed = set(re.findall(r"^    (\w+):", given, re.MULTILINE))
            assert {one for one, default in known.items() if not default} <= passed <= set(known), f"{name}: {path}"


def test_outputs_that_are_read_exist() -> None:
    for name, text in BICEP.items():
        modules = dict(re.findall(r"^module (\w+) '([^']+)'", text, re.MULTILINE))
        for module, output in re.findall(r"(\w+)\.outputs\.(\w+)", text):
            found = BICEP[((INFRA / name).parent / modules[module]).resolve().relative_to(INFRA).as_posix()]
            assert re.search(rf"^output {output} ", found, re.MULTILINE), f"{name}: {module}.{output}"


def test_the_hook_reads_outputs_of_the_template() -> None:
    hook = (INFRA / "hooks/postdeploy.sh").read_text()
    read = set(re.findall(r"\$\{?([A-Z_]{4,})", hook)) - {"AZURE_SUBSCRIPTION_ID", "LOGIC_APP_WORKFLOWS"}
    assert read <= set(re.findall(r"^output (\w+) ", MAIN, re.MULTILINE))
    assert yaml.safe_load((ROOT / "azure.yaml").read_text())["hooks"]["postdeploy"]["posix"]["run"] == "infra/hooks/postdeploy.sh"


def test_the_logic_app_has_the_settings_of_its_workflows() -> None:
    template = BICEP["modules/workflows.bicep"]
    known = json.loads((ROOT / "logicapp/parameters.json").read_text())
    for name in ("nightly-sweep", "sliding-window-sweep"):
        used = set(re.findall(r"parameters\('(\w+)'\)", (ROOT / "logicapp" / name / "workflow.json").read_text()))
        for setting in re.findall(r"appsetting\('(\w+)'\)", json.dumps({one: known[one] for one in used})):
            assert f"name: '{setting}'" in template, setting


def test_deviations_from_policy_are_documented_with_reasons() -> None:
    text = (ROOT / ".checkov.yaml").read_text()
    skipped = set(yaml.safe_load(text)["skip-check"]) | set(re.findall(r"checkov:skip=(\w+):", "".join(BICEP.values())))
    assert set(re.findall(r"CKV2?_\w+", DEPLOY)) == skipped
    for check in skipped:
        assert re.search(rf"^\| .*`{check}`.* \| [^|]+ \|$", DEPLOY, re.MULTILINE), check


def test_the_image_holds_what_it_needs_and_is_nobody() -> None:
    text = (INFRA / "container/Dockerfile").read_text()
    assert re.search(r"^ARG PYTHON=3\.13\.\d+-slim", text, re.MULTILINE)
    assert "--require-hashes" in text
    assert re.search(r"^USER \d+$", text, re.MULTILINE)
    kept = re.findall(r"^!(\S+)$", (INFRA / "container/Dockerfile.dockerignore").read_text(), re.MULTILINE)
    for path in kept:
        assert (ROOT / path).exists(), path
    for copied in re.findall(r"^COPY (?!--from)(\w+) ", text, re.MULTILINE):
        assert copied in kept


def test_the_locked_file_names_no_address() -> None:
    assert "://" not in (INFRA / "requirements.txt").read_text()
