"""What the three distributions have in common: moving, indexing, joining, trees of tensors, and when they validate."""

import subprocess
import sys

import pytest
import torch
from torch.distributions import Distribution, Normal

import evidential_nig
from evidential_nig import NormalInverseGamma, StudentT, cat, evidential_loss, fuse, stack
from evidential_nig.multivariate import NormalInverseWishart
from evidential_nig.recalibration import VarianceScale

KINDS = {
    "nig": lambda *shape, **more: NormalInverseGamma(torch.randn(shape), torch.rand(shape) + 0.1, 2.0, 1.0, **more),
    "student": lambda *shape, **more: StudentT(torch.rand(shape) + 2.0, torch.randn(shape), 1.5, **more),
    "niw": lambda *shape, **more: NormalInverseWishart(
        torch.randn(*shape, 2), torch.rand(shape) + 0.1, 7.0, torch.eye(2), **more
    ),
}
each_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def parameters(distribution):
    return {name: getattr(distribution, name) for name in distribution._leaves}


def assert_equal(one, other):
    assert type(one) is type(other)
    assert one.batch_shape == other.batch_shape
    for name, value in parameters(one).items():
        torch.testing.assert_close(value, getattr(other, name), rtol=0, atol=0)


@each_kind
def test_indexing_detaching_and_moving_act_on_every_parameter(make):
    whole = make(4, 3)
    for index, shape in ((0, (3,)), ((slice(1, 3), 2), (2,)), (..., (4, 3)), (torch.tensor([2, 0]), (2, 3))):
        part = whole[index]
        assert type(part) is type(whole)
        assert part.batch_shape == shape
    assert_equal(cat([whole[:1], whole[1:]]), whole)
    doubled = whole.to(torch.float64)
    assert {value.dtype for value in parameters(doubled).values()} == {torch.float64}
    recorded = whole._with(*(value.clone().requires_grad_() for value in parameters(whole).values()))
    assert recorded.log_prob(recorded.sample()).requires_grad
    assert not any(value.requires_grad for value in parameters(recorded.detach()).values())
    assert whole.map(lambda parameter: parameter.reshape(2, 6)).batch_shape == (2, 6)


@each_kind
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_cat_and_stack_are_those_of_every_parameter(make, dim):
    one, other = make(2, 3), make(2, 3)
    joined = torch.cat([one, other], dim=dim)
    assert joined.batch_shape == ((4, 3) if dim == 0 else (2, 6))
    assert_equal(joined, cat((one, other), dim))
    assert_equal(joined.map(lambda parameter: parameter.narrow(dim, 0, (2, 3, 3)[dim])), one)
    assert_equal(joined.map(lambda parameter: parameter.narrow(dim, (2, 3, 3)[dim], (2, 3, 3)[dim])), other)
    piled = torch.stack([one, other], dim)
    assert_equal(piled, stack([one, other], dim))
    assert piled.batch_shape == {0: (2, 2, 3), 1: (2, 2, 3), -1: (2, 3, 2)}[dim]
    assert_equal(piled.map(lambda parameter: parameter.select(dim, 1)), other)
    for function in (torch.concat, torch.concatenate):
        assert_equal(function([one, other], dim), joined)


def test_what_cannot_be_joined_is_refused():
    one, student = KINDS["nig"](2, 3), KINDS["student"](2, 3)
    for join in (cat, stack):
        with pytest.raises(TypeError, match="the first is of type NormalInverseGamma and number 1 of type StudentT"):
            join([one, student])
        with pytest.raises(TypeError, match="of one class of evidential_nig, but the first is of type Normal"):
            join([Normal(0.0, 1.0)])
        with pytest.raises(ValueError, match="takes a sequence of at least one distribution"):
            join([])
        with pytest.raises(ValueError, match=r"got \(2, 3\), \(3, 2\)"):
            join([one, KINDS["nig"](3, 2)])
    with pytest.raises(ValueError, match=r"must be equal but for dimension 0, got \(2, 3\), \(2,\)"):
        cat([one, KINDS["nig"](2)])
    for join, dim in ((cat, 2), (cat, -3), (stack, 3), (stack, -4)):
        with pytest.raises(IndexError, match=f"there is no dimension {dim}"):
            join([one, one], dim)
    with pytest.raises(TypeError):
        torch.sin(one)


def test_distributions_joined_are_what_fusion_takes():
    experts = [NormalInverseGamma(torch.tensor(loc), 1.0, 2.0, 1.0) for loc in (2.0, 4.0, 9.0)]
    assert_equal(fuse(torch.stack(experts), dim=0), fuse(*experts))
    mixed = stack([experts[0], experts[1].to(torch.float64)])
    assert mixed.loc.dtype == torch.float64


class Loss(torch.nn.Module):
    def forward(self, belief, target):
        if isinstance(belief, NormalInverseGamma):
            return evidential_loss(belief, target), fuse(belief, belief)
        return -belief.log_prob(target), belief


@each_kind
@pytest.mark.parametrize("strict", [False, True])
def test_a_distribution_is_an_input_and_an_output_of_torch_export(make, strict):
    belief = make(3, validate_args=False)
    target = belief.sample() if not isinstance(belief, NormalInverseGamma) else torch.randn(3)
    program = torch.export.export(Loss(), (belief, target), strict=strict)
    value, returned = program.module()(belief, target)
    expected, distribution = Loss()(belief, target)
    torch.testing.assert_close(value, expected)
    assert_equal(returned, distribution)


@each_kind
def test_paths_of_a_tree_name_the_parameters(make):
    paths, _ = torch.utils._pytree.tree_flatten_with_path({"belief": make(3)})
    assert [str(path[1]) for path, _ in paths] == [f".{name}" for name in make(3)._leaves]


@each_kind
@pytest.mark.parametrize("validate_args", [True, False])
def test_the_decision_about_validation_is_kept(make, validate_args):
    parent = make(2, 3, validate_args=validate_args)
    children = [
        *(parent[0], parent.detach(), parent.to(torch.float64), parent.expand((4, 2, 3)), parent.map(torch.clone)),
        *(torch.cat([parent, parent]), torch.stack([parent, parent]), parent._at_least_single()),
    ]
    if isinstance(parent, NormalInverseWishart):
        children += [parent.marginals(), parent.marginals().predictive()]
    else:
        children.append(VarianceScale(2.0).apply(parent))
    assert [child._validate_args for child in children] == [validate_args] * len(children)
    other = make(2, 3, validate_args=not validate_args)
    assert cat([parent, other])._validate_args is True


def test_a_rescaled_normal_keeps_its_decision_about_validation():
    for validate_args in (True, False):
        normal = Normal(torch.zeros(2), 1.0, validate_args=validate_args)
        assert VarianceScale(2.0).apply(normal)._validate_args is validate_args


def test_the_default_of_validation_does_not_end_with_the_first_compilation_but_torchs_does():
    program = """
import torch
from torch.distributions import Distribution
from evidential_nig import NormalInverseGamma, fuse
def width(loc):
    return NormalInverseGamma(loc, 1.0, 2.0, 1.0).predictive().variance
print(torch.compile(width, fullgraph=True, backend="eager")(torch.zeros(1)).item())
print(Distribution._validate_args)
for call in (
    lambda: NormalInverseGamma(0.0, -1.0, 2.0, 1.0),
    lambda: fuse(NormalInverseGamma(torch.zeros(2), 1.0, 2.0, 1.0), 0, weight=torch.tensor([-1.0, 3.0])),
):
    try:
        call()
    except ValueError:
        print("refused")
NormalInverseGamma.set_default_validate_args(False)
NormalInverseGamma(0.0, -1.0, 2.0, 1.0)
print(Distribution._validate_args)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["2.0", "False", "refused", "refused", "False"]


def test_the_setting_of_the_package_leaves_torchs_alone():
    before = Distribution._validate_args
    try:
        StudentT.set_default_validate_args(False)
        NormalInverseGamma(0.0, -1.0, 2.0, 1.0)
        StudentT(-1.0)
        assert Distribution._validate_args == before
    finally:
        StudentT.set_default_validate_args(True)
    with pytest.raises(ValueError, match="df"):
        StudentT(-1.0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_wishart_in_half_precision_is_sampled_in_single(dtype):
    torch.manual_seed(0)
    half = NormalInverseWishart(torch.tensor([1.0, -2.0]), 4.0, 9.0, torch.eye(2)).to(dtype)
    drawn = half.sample((20_000,))
    assert drawn.dtype == torch.float32
    torch.testing.assert_close(drawn.mean(0), half.to(torch.float32).mean, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("alpha_minus_one", [1e-6, 1e-8, 1e-12])
def test_the_variance_of_a_prediction_keeps_the_digits_of_alpha_minus_one(alpha_minus_one):
    """In single precision 2 + 2e-6 is off by a twentieth of its excess, and 2 + 2e-8 is 2, whose variance is inf."""
    nig = NormalInverseGamma.from_alpha_minus_one(torch.tensor([0.0]), 1.0, alpha_minus_one, 1.0)
    expected = torch.tensor([2 / alpha_minus_one])
    predictive = nig.predictive()
    for made in (
        *(predictive, predictive[:1], predictive.expand((1, 1))[0], torch.cat([predictive]), predictive.detach()),
        *(VarianceScale(1.0).apply(predictive), StudentT.from_excess_df(2 * nig.alpha_minus_one, scale=2**0.5)),
    ):
        torch.testing.assert_close(made.variance, expected, rtol=1e-6, atol=0)
        torch.testing.assert_close(made.stddev, expected.sqrt(), rtol=1e-6, atol=0)
    torch.testing.assert_close(predictive.variance, nig.predictive_variance, rtol=1e-6, atol=0)
    sharpness = evidential_nig.calibration.sharpness(predictive)
    torch.testing.assert_close(sharpness, expected[0].sqrt().double(), rtol=1e-6, atol=0)


def test_mean_and_variance_of_a_student_t_where_there_are_none():
    student = StudentT(torch.tensor([0.5, 1.0, 1.5, 2.0, 4.0]), 3.0, 2.0)
    torch.testing.assert_close(student.mean, torch.tensor([torch.nan, torch.nan, 3.0, 3.0, 3.0]), equal_nan=True)
    expected = torch.tensor([torch.nan, torch.nan, torch.inf, torch.inf, 8.0])
    torch.testing.assert_close(student.variance, expected, equal_nan=True)
    df = torch.tensor([1.5, 4.0], requires_grad=True)
    (slope,) = torch.autograd.grad(StudentT(df).variance[1], df)
    assert slope.tolist() == [0.0, pytest.approx(-0.5)]  # d/d df of 1 + 2/(df − 2)


def test_without_numpy_the_import_says_nothing():
    program = "import sys; sys.modules['numpy'] = None; import evidential_nig, torch; print(torch.tensor([1.0]).sum())"
    result = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "tensor(1.)\n", "")


def test_the_version_is_that_of_the_installed_package():
    from importlib.metadata import version

    assert evidential_nig.__version__ == version("evidential-nig")
