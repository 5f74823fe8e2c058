import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import iqa_datasets
import iqa_datasets.testing


@pytest.mark.parametrize("module", [iqa_datasets, iqa_datasets.testing])
def test_what_is_public_is_there_and_documented(module):
    assert module.__doc__
    for name in module.__all__:
        thing = getattr(module, name)
        # Vocabularies and the schema are plain values, which have no docstring of their own at run time.
        assert name.isupper() or (thing.__doc__ or "").strip()


def test_import_is_light():
    code = "import sys, iqa_datasets; print(sorted({'torch', 'PIL', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_readme_runs_and_prints_what_it_shows(tmp_path):
    readme = (Path(__file__).parents[2] / "packages" / "iqa-datasets" / "README.md").read_text(encoding="utf-8")
    code = [block.split("```")[0] for block in readme.split("```python\n")[1:]]
    shown = readme.split("```text\n")[1].split("```")[0]
    done = subprocess.run([sys.executable, "-c", "\n".join(code)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(shown)


def test_the_stub_names_what_there_is():
    # Type checkers see the stub alone; a name that stands only there, or only in __all__, would mislead them.
    stub = ast.parse(Path(iqa_datasets.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imported = [alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    [listed] = [ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign)]
    assert sorted(imported) == sorted(listed) == sorted(iqa_datasets.__all__)
    assert set(iqa_datasets.__all__) <= set(dir(iqa_datasets))


def test_the_version_is_the_installed_one():
    assert iqa_datasets.__version__ == importlib.metadata.version("iqa-datasets")


@pytest.mark.parametrize(
    "first", ["import iqa_datasets.agreement", "from iqa_datasets.agreement import fit_logistic", "import iqa_datasets"]
)
def test_agreement_is_the_function_whatever_was_imported_before(first):
    code = f"{first}; from iqa_datasets import agreement; assert agreement([1, 2], [1, 2]).n == 2"
    subprocess.run([sys.executable, "-c", code], check=True)
