"""Settings: what is unknown, missing or wrong is named, and no value is repeated."""

from pathlib import Path

import pytest

from edge.settings import Settings, SettingsError, SettingsPath, load_settings


class Listener(Settings):
    """Nested table."""

    port: int
    names: tuple[str, ...] = ()


class Example(Settings):
    """A process's settings."""

    database: str
    state: SettingsPath
    public: Listener = Listener(port=1)


def written(folder: Path, text: str) -> Path:
    path = folder / "example.toml"
    path.write_text(text)
    return path


GOOD = 'database = "sqlite://"\nstate = "state"\n[public]\nport = 80\n'


def test_a_file_is_read_and_paths_are_taken_from_its_folder(tmp_path: Path) -> None:
    settings = load_settings(Example, path=written(tmp_path, GOOD), environ={})
    assert settings == Example(database="sqlite://", state=tmp_path / "state", public=Listener(port=80))


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    path = written(tmp_path, 'database = "x"\nstate = "/var/lib/pva"\n')
    assert load_settings(Example, path=path, environ={}).state == Path("/var/lib/pva")


def test_the_environment_overlays_the_file(tmp_path: Path) -> None:
    environ = {"PVA_DATABASE": "other", "PVA_PUBLIC__NAMES": '["a"]', "HOME": "/x", "PVA_TEST_VECTORS": "/y"}
    settings = load_settings(Example, path=written(tmp_path, GOOD), environ=environ)
    assert settings.database == "other"
    assert settings.public == Listener(port=80, names=("a",))


def test_the_environment_alone_is_enough() -> None:
    settings = load_settings(
        Example,
        path=None,
        environ={"X_DATABASE": "d", "X_STATE": "s", "X_PUBLIC__PORT": "7"},
        env_prefix="X_",
    )
    assert (settings.state, settings.public.port) == (Path("s"), 7)


@pytest.mark.negative
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + "prot = 1\n", ["public.prot", "is not a setting"]),
        ("databse = 1\n" + GOOD, ["databse", "is not a setting"]),
        ('state = "s"\n', ["database", "is missing"]),
        (GOOD.replace("80", '"hunter2"'), ["public.port", "integer"]),
        ("database = \n", ["is not TOML"]),
        ("\ud800", ["is not TOML"]),
    ],
)
def test_a_bad_file_is_an_error_that_names_the_key(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "example.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SettingsError) as caught:
        load_settings(Example, path=path, environ={})
    for word in [*words, str(path)]:
        assert word in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.negative
def test_a_misspelt_variable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="databse"):
        load_settings(Example, path=written(tmp_path, GOOD), environ={"PVA_DATABSE": "x"})


@pytest.mark.negative
def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml.*No such file"):
        load_settings(Example, path=tmp_path / "absent.toml", environ={})


@pytest.mark.negative
def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.toml"
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(SettingsError, match="larger"):
        load_settings(Example, path=path, environ={})


def test_settings_do_not_change_after_start() -> None:
    settings = Example(database="d", state=Path("s"))
    name = "database"
    with pytest.raises(ValueError, match="frozen"):
        setattr(settings, name, "e")
