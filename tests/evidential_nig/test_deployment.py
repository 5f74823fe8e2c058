"""Head, loss, fusion and moments where models are trained and shipped: compiled, exported to ONNX, data parallel."""

import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import nn

from evidential_nig import NIGHead, evidential_loss, fuse, fuse_local_global, nig_nll, scale_aware_regularizer


class Experts(nn.Module):
    """Features (batch, experts, 8) to everything that a prediction is read from."""

    def __init__(self) -> None:
        super().__init__()
        self.head = NIGHead(8, 3)
        with torch.no_grad():
            self.head.linear.weight.normal_(std=0.3)

    def forward(self, features):
        each = self.head(features)
        fused = fuse(each, 1)
        tempered = fuse(each, 1, weight=0.5, mask=features[..., :1] > -1.0)
        mixed = fuse_local_global(each, fused, 1)
        return (
            *(fused.loc, fused.nu, fused.alpha_minus_one, fused.beta),
            *(tempered.loc, tempered.beta),
            *(mixed.aleatoric, mixed.epistemic, mixed.predictive_df, mixed.predictive_scale, mixed.predictive_variance),
            *(mixed.mean, mixed.mode, mixed.variance),
        )


@pytest.fixture
def experts():
    torch.manual_seed(0)
    return Experts().eval()


def test_onnx_gives_the_same_figures_for_a_batch_of_another_size(experts, tmp_path, capsys):
    program = torch.onnx.export(
        experts, (torch.randn(5, 4, 8),), dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    program.save(str(tmp_path / "experts.onnx"))
    session = onnxruntime.InferenceSession(tmp_path / "experts.onnx", providers=["CPUExecutionProvider"])
    features = torch.randn(7, 4, 8)
    results = session.run(None, {session.get_inputs()[0].name: features.numpy()})
    expected = experts(features)
    assert len(results) == len(expected)
    for result, reference in zip(results, expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(result), reference, rtol=1e-5, atol=1e-5)


def test_a_training_step_is_one_graph(experts):
    """Head, moments, loss and regulariser, forward and backward, with the package's checks of shapes in place."""
    features, target = torch.randn(6, 8), torch.randn(6, 3)

    def step(features, target):
        nig = experts.head(features)
        return evidential_loss(nig, target) + 0.1 * scale_aware_regularizer(nig, target) + nig.epistemic.mean()

    torch.compiler.reset()
    parameters = list(experts.parameters())
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")(features, target)
    plain = step(features, target)
    torch.testing.assert_close(compiled, plain)
    for one, other in zip(
        torch.autograd.grad(compiled, parameters), torch.autograd.grad(plain, parameters), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_per_sample_gradients_of_the_head_by_vmap(experts):
    features, target = torch.randn(5, 8), torch.randn(5, 3)
    parameters = {name: value.detach() for name, value in experts.head.named_parameters()}

    def loss(parameters, features, target):
        return nig_nll(torch.func.functional_call(experts.head, parameters, (features,)), target)

    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(parameters, features, target)
    for row in range(5):
        alone = torch.func.grad(loss)(parameters, features[row], target[row])
        for name in parameters:
            torch.testing.assert_close(each[name][row], alone[name])


def test_a_module_that_returns_a_distribution_can_be_exported_and_mapped(experts):
    features = torch.randn(5, 8)
    exported = torch.export.export(experts.head, (features,), strict=False).module()
    torch.testing.assert_close(exported(features).epistemic, experts.head(features).epistemic)
    torch.testing.assert_close(torch.func.vmap(experts.head)(features).loc, experts.head(features).loc)


def test_data_parallel_gradients_are_those_of_the_whole_batch(experts, tmp_path):
    """With a static graph too, where DistributedDataParallel looks for the tensors in what the module returns."""
    features, target = torch.randn(8, 8), torch.randn(8, 3)
    torch.save({"features": features, "target": target, "state": experts.head.state_dict()}, tmp_path / "batch.pt")
    workers = Path(__file__).with_name("data_parallel_workers.py")
    done = subprocess.run([sys.executable, workers, tmp_path], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    evidential_loss(experts.head(features), target).backward()
    for gradients in torch.load(tmp_path / "gradients.pt", weights_only=True).values():
        for parameter, gradient in zip(experts.head.parameters(), gradients, strict=True):
            torch.testing.assert_close(gradient, parameter.grad)
