"""MLflow itself, on a SQLite file."""

import os
import subprocess
import sys

import pytest

from tests.rollout.made import made_run, put
from workbench.errors import RolloutError, RunError
from workbench.rollout import registry as module
from workbench.rollout.history import FIRST, Line, promotion, replay
from workbench.rollout.registry import Registry, one_model
from workbench.rollout.run_log import flat_params, numeric_facts
from workbench.store import sha256


def line(number, previous, changes=()):
    return Line(number, "2026-11-26T00:00:00Z", "promotion", "A", "b", "c", changes, previous=previous)


def test_a_run_is_logged_once_for_each_manifest(registry, tmp_path):
    run = made_run(tmp_path / "smoke")
    first = registry.log_run(run)
    assert registry.log_run(run) == first
    found = registry._client.get_run(first)
    assert found.info.status == "FINISHED"
    assert found.data.tags["workbench.manifest_sha256"] == sha256(run.folder / "manifest.json")
    assert found.data.tags["workbench.code_revision"] == "abc123"
    assert found.data.tags["workbench.study"] == "smoke"
    assert found.data.params["training.seed"] == str(run.study.training.seed)
    assert found.data.metrics == {"validation.auc_gain": 0.01, "validation.brier_gain": 0.01}
    assert registry._client.list_artifacts(first) == []
    put(run, "report/findings", {"findings": []})
    run.update(lambda manifest: manifest.update(note="another"))
    assert registry.log_run(run) != first


def test_documents_go_along_only_where_asked_and_rows_never(registry, tmp_path):
    run = made_run(tmp_path / "smoke")
    put(run, "report/model_risk", {"a": 1}, "document")
    put(run, "data/people", {"a": 1}, "rows")
    logged = registry.log_run(run, documents=True)
    names = [one.path for one in registry._client.list_artifacts(logged, "report")]
    assert names == ["report/model_risk.json"]
    assert [one.path for one in registry._client.list_artifacts(logged)] == ["report"]


def test_a_run_that_is_not_complete_is_not_logged(registry, tmp_path):
    run = made_run(tmp_path / "smoke")
    run.update(lambda manifest: manifest["stages"]["fairness"].update(state="open"))
    (run.folder / "params.yaml").write_text("study: other\n")
    with pytest.raises(RolloutError) as caught:
        registry.register(run)
    assert len(caught.value.faults) == 2
    assert registry.models() == []


def test_the_same_bundle_is_the_same_version(registry, tmp_path):
    run = made_run(tmp_path / "smoke")
    version = registry.register(run)
    assert (version.model, version.number, version.run) == ("smoke", 1, "smoke")
    assert version.sha256 == run.entry("scoring/bundle")["sha256"]
    run.update(lambda manifest: manifest.update(note="another"))
    assert registry.register(run) == version
    assert registry.version_of(run) == version
    other = registry.register(made_run(tmp_path / "second", bundle=b"second"))
    assert other.number == 2
    assert registry.versions("smoke") == [version, other]
    assert registry.bundle(other, tmp_path).read_bytes() == b"second"


def test_an_edited_bundle_is_not_registered_and_one_that_is_missing_neither(registry, tmp_path):
    run = made_run(tmp_path / "smoke")
    (run.folder / "scoring" / "bundle.zip").write_bytes(b"xxxxx")
    with pytest.raises(RunError, match="edited"):
        registry.register(run)
    run.update(lambda manifest: manifest["artifacts"].pop("scoring/bundle"))
    with pytest.raises(RunError, match="scoring/bundle"):
        registry.register(run)
    assert registry.models() == []


def test_a_bundle_that_was_changed_in_the_registry_is_refused(registry, tmp_path):
    version = registry.register(made_run(tmp_path / "smoke"))
    (stored,) = registry.folder.rglob("*.zip")
    stored.write_bytes(b"tampered")
    with pytest.raises(RolloutError, match="was changed"):
        registry.bundle(version, tmp_path)


def test_lines_are_read_back_in_order_and_an_edit_is_seen(registry, tmp_path):
    versions = [registry.register(made_run(tmp_path / n, bundle=n.encode())) for n in ("one", "two")]
    assert registry.history("smoke") == []
    first = line(1, FIRST, promotion(replay([]), 1, "champion"))
    second = line(2, first.digest, promotion(replay([first]), 2, "champion"))
    registry.append(versions[1], second)
    registry.append(versions[0], first)
    assert registry.history("smoke") == [first, second]
    state = replay([first, second])
    registry.show("smoke", state)
    registry.show("smoke", state)
    client = registry._client
    assert client.get_model_version_by_alias("smoke", "champion").version in (2, "2")
    assert client.get_model_version("smoke", "1").tags["workbench.stage"] == "retired"
    registry.append(versions[0], line(2, first.digest))
    with pytest.raises(RolloutError, match="edited"):  # a fork: both lines are kept, and a person has to look
        registry.history("smoke")


def test_aliases_and_tags_follow_the_canary(registry, tmp_path):
    for name in ("one", "two"):
        registry.register(made_run(tmp_path / name, bundle=name.encode()))
    lines = []
    for version, to, share in ((1, "champion", 0.0), (2, "canary", 0.05), (2, "retired", 0.0)):
        previous = lines[-1].digest if lines else FIRST
        lines.append(line(len(lines) + 1, previous, promotion(replay(lines), version, to, share)))
        registry.show("smoke", replay(lines))
        tags = registry._client.get_model_version("smoke", "2").tags
        assert tags.get("workbench.share") == ("0.05" if to == "canary" else None)
        aliases = registry._client.get_registered_model("smoke").aliases
        assert set(aliases) == {"champion", *(["canary"] if to == "canary" else [])}


def test_a_version_or_model_that_is_not_there_is_told(registry, tmp_path):
    with pytest.raises(RolloutError, match="workbench register RUN"):
        one_model(registry)
    run = made_run(tmp_path / "smoke")
    with pytest.raises(RolloutError, match="not registered"):
        registry.version_of(run)
    registry.register(run)
    assert one_model(registry) == one_model(registry, "smoke") == "smoke"
    with pytest.raises(RolloutError, match="did you mean smoke"):
        one_model(registry, "smoky")
    with pytest.raises(RolloutError, match="versions: 1"):
        registry.version("smoke", 7)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("https://me:secret@host", "no password"),
        ("postgresql://me:secret@host/db", "no password"),
        ("https://host/?token=abc", "no password"),
        ("runs", "no address"),
        ("ftp://host", "no address"),
        ("sqlite:///a.db?mode=memory", "a file alone"),
    ],
)
def test_an_address_is_refused_and_a_password_is_not_repeated(uri, told):
    with pytest.raises(RolloutError, match=told) as caught:
        Registry(uri)
    assert "secret" not in str(caught.value)


def test_a_place_without_a_registry_has_no_models_and_gets_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROOT", tmp_path)
    registry = Registry()
    assert registry.folder == tmp_path / "rollout"
    assert registry.models() == []
    assert not registry.folder.exists()


def test_a_folder_that_cannot_be_and_a_file_that_is_no_registry_are_told(tmp_path):
    (tmp_path / "file").write_text("not a database, and long enough to be looked at as one" * 20)
    with pytest.raises(RolloutError, match="no registry can be kept"):
        Registry(f"sqlite:///{tmp_path}/file/registry.db").register(made_run(tmp_path / "smoke"))
    with pytest.raises(RolloutError, match="does not take this"):
        Registry(f"sqlite:///{tmp_path}/file").models()


def test_nothing_is_written_elsewhere_and_nobody_is_told(empty_registry, tmp_path):
    """In a process of its own: home and working folder stay empty, and MLflow sends nothing."""
    home, place = tmp_path / "home", tmp_path / "registry"
    home.mkdir()
    code = (
        "import socket\n"
        "def refuse(*_, **__): raise AssertionError('a connection')\n"
        "socket.socket.connect = refuse\n"
        "from pathlib import Path\n"
        "from tests.rollout.made import made_run\n"
        "from workbench.rollout.registry import Registry\n"
        f"Registry('sqlite:///{place}/registry.db').register(made_run(Path('{tmp_path}/smoke')))\n"
        "from mlflow.telemetry.utils import is_telemetry_disabled\n"
        "assert is_telemetry_disabled()\n"
    )
    environment = {
        k: v for k, v in os.environ.items() if k not in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY")
    }
    environment |= {"HOME": str(home), "PYTHONPATH": os.pathsep.join([str(module.ROOT), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=home, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    assert list(home.iterdir()) == []
    assert {path.name for path in place.iterdir()} == {"registry.db", "artifacts", ".rollout.lock"}


def test_params_are_flattened_and_long_ones_cut():
    found = flat_params({"a": {"b": 1, "c": [1, 2], "d": {}}, "e": "text", "f?": None, "g": "x" * 7_000})
    assert {name: found[name] for name in ("a.b", "a.c", "a.d", "e", "f_")} == {
        "a.b": "1",
        "a.c": "[1, 2]",
        "a.d": "{}",
        "e": "text",
        "f_": "null",
    }
    assert len(found["g"]) <= 6_000
    assert "SHA-256" in found["g"]


def test_only_numbers_are_metrics():
    told = [
        {"id": "a", "value": 1},
        {"id": "b", "value": True},
        {"id": "c", "value": "x"},
        {"id": "d", "value": None},
    ]
    assert numeric_facts(told) == {"a": 1.0}
