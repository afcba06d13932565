"""The example on docs/data.md makes a folder of images for each class into a data set."""

import re
from pathlib import Path

import numpy as np

from lmle_core.celeba.annotations import read_celeba
from lmle_core.store import TEST, TRAIN, VALID
from tests.lmle_core.celeba.small import jpeg

PAGE = Path(__file__).parents[1] / "docs" / "data.md"
KINDS = {"owl": 60, "wren": 20, "crested tit": 20}


def test_a_folder_of_images_for_each_class_becomes_a_data_set(tmp_path: Path) -> None:
    for kind, number in KINDS.items():
        folder = tmp_path / "img_align_celeba" / kind
        folder.mkdir(parents=True)
        for seed in range(number):
            (folder / f"{seed}.jpg").write_bytes(jpeg(seed))
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code.count("/data/birds") == 1
    exec(compile(code.replace("/data/birds", str(tmp_path)), str(PAGE), "exec"), {})

    data = read_celeba(tmp_path)
    assert sorted(data.attributes) == sorted(KINDS)
    for a, kind in enumerate(data.attributes):
        assert [name.split("/")[0] == kind for name in data.filenames] == (data.labels[:, a] == 1).tolist()
        for split, share in ((TRAIN, 0.7), (VALID, 0.15), (TEST, 0.15)):
            assert data.labels[data.split == split, a].sum() == np.round(share * KINDS[kind])
