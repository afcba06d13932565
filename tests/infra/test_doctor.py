"""The doctor names what is wrong and what to do."""

from pathlib import Path

from infra.doctor import examine


def test_a_healthy_machine_and_a_damaged_data_folder(tmp_path: Path) -> None:
    (tmp_path / "list_attr_celeba.txt").write_text("1\nSmiling\n000001.jpg 7\n")
    findings = {finding.subject: finding for finding in examine(tmp_path / "workspace", tmp_path)}
    assert findings["prefect"].found.startswith("3.8")
    assert "made by the first run" in findings["workspace"].found
    assert "list_" in findings["data"].problem
    assert not findings["torch"].problem
    assert "4200" in " ".join(findings)


def test_an_unfit_workspace(tmp_path: Path) -> None:
    for place in ("stages/train/abc", "stores/abc.zarr", "runs/abc", "comparisons/mine"):
        (tmp_path / f"{place}.partial").mkdir(parents=True)
    findings = {finding.subject: finding for finding in examine(tmp_path)}
    assert findings["workspace"].found.endswith(", 4 unfinished artefacts")
    (tmp_path / "services.json").write_text("{")
    findings = {finding.subject: finding for finding in examine(tmp_path)}
    assert "damaged" in findings["services"].problem
