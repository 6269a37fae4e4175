"""The rooms are the ones of the floor plan, and nothing stands outside it."""

from tests.house.tree import ROOT, project_files, pyproject

# folders that hold no room of the product
BESIDE = {"tests", "docs", "bench", "deploy", ".ci"}


def rooms_of_the_plan() -> set[str]:
    contracts = pyproject()["tool"]["importlinter"]["contracts"]
    plan = next(contract for contract in contracts if contract["name"] == "The floor plan")
    return {room.strip() for floor in plan["layers"] for room in floor.split("|")}


def test_every_top_level_package_is_a_room_of_the_plan() -> None:
    packages = {
        path.parts[0] for path in project_files() if len(path.parts) == 2 and path.name == "__init__.py"
    }
    assert packages - BESIDE == rooms_of_the_plan()


def test_every_folder_is_a_room_or_named_beside_the_plan() -> None:
    folders = {path.parts[0] for path in project_files() if len(path.parts) > 1}
    assert folders <= rooms_of_the_plan() | BESIDE


def test_linter_types_and_wheel_see_every_room() -> None:
    tool = pyproject()["tool"]
    rooms = rooms_of_the_plan()
    assert set(tool["importlinter"]["root_packages"]) == rooms
    assert set(tool["mypy"]["packages"]) == rooms | {"bench", "tests"}
    assert set(tool["hatch"]["build"]["targets"]["wheel"]["packages"]) == rooms


def test_floors_inside_rooms_are_complete() -> None:
    for contract in pyproject()["tool"]["importlinter"]["contracts"]:
        if "containers" not in contract:
            continue
        assert contract.get("exhaustive"), contract["name"]
        for container in contract["containers"]:
            assert (ROOT / container.replace(".", "/")).is_dir()


def test_every_command_of_the_wheel_leads_to_a_function() -> None:
    for command, target in pyproject()["project"]["scripts"].items():
        module, _, function = target.partition(":")
        source = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert f"def {function}(" in source, command


def test_every_python_file_lies_in_a_package() -> None:
    for path in project_files():
        if (
            path.suffix == ".py"
            and path.parts[0] in rooms_of_the_plan() | {"tests"}
            and "migrations" not in path.parts
        ):
            assert (ROOT / path.parent / "__init__.py").exists(), path
