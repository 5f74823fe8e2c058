"""Fusion against Eq. 20 as printed, folded pair by pair in exact rational arithmetic."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evidential_nig import NormalInverseGamma, fuse, fuse_local_global

positive = st.floats(1e-3, 1e3)
expert = st.tuples(st.floats(-100, 100), positive, positive, positive)  # δ, ν, α − 1, β
experts = st.lists(expert, min_size=1, max_size=8)


def fuse_two(first, second):
    """Eq. 20 on (δ, ν, α, β)."""
    (loc1, nu1, alpha1, beta1), (loc2, nu2, alpha2, beta2) = first, second
    nu = nu1 + nu2
    loc = (nu1 * loc1 + nu2 * loc2) / nu
    half = Fraction(1, 2)
    return (
        loc,
        nu,
        alpha1 + alpha2 + half,
        beta1 + beta2 + half * nu1 * (loc1 - loc) ** 2 + half * nu2 * (loc2 - loc) ** 2,
    )


def exact(rows):
    return [(Fraction(loc), Fraction(nu), 1 + Fraction(less), Fraction(beta)) for loc, nu, less, beta in rows]


def fold(members, random):
    """Fuse random pairs until one is left."""
    members = list(members)
    while len(members) > 1:
        random.shuffle(members)
        members.append(fuse_two(members.pop(), members.pop()))
    return members[0]


def make(rows, dtype=torch.float64):
    return NormalInverseGamma.from_alpha_minus_one(*torch.tensor(rows, dtype=dtype).unbind(-1))


def parameters(nig):
    return nig.loc, nig.nu, nig.alpha_minus_one, nig.beta


def assert_same(first, second, rtol=1e-12, atol=1e-12):
    for a, b in zip(parameters(first), parameters(second), strict=True):
        torch.testing.assert_close(a, b, rtol=rtol, atol=atol)


@given(experts, st.randoms(use_true_random=False))
def test_eq20_closed_form_equals_every_pairwise_order(rows, random):
    loc, nu, alpha, beta = fold(exact(rows), random)
    fused = fuse(make(rows), 0)
    largest = max(abs(row[0]) for row in rows)
    assert abs(fused.loc.item() - float(loc)) <= 1e-14 * largest
    assert fused.nu.item() == pytest.approx(float(nu), rel=1e-14)
    assert fused.alpha_minus_one.item() == pytest.approx(float(alpha - 1), rel=1e-14)
    assert fused.beta.item() == pytest.approx(float(beta), rel=1e-12)


def test_eq19_and_eq20_of_two_experts_by_hand():
    fused = fuse(NormalInverseGamma(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 1.0]), 3.0, 0.5), 0)
    # δ = (2·1 + 1·4)/3 = 2, ν = 3, α = 3 + 3 + ½, β = ½ + ½ + ½·2·1² + ½·1·2² = 4
    assert [p.item() for p in (fused.loc, fused.nu, fused.alpha, fused.beta)] == [2.0, 3.0, 6.5, 4.0]


def test_eq18_four_sub_images_along_the_middle_of_a_batch(generator):
    rows = torch.rand(5, 4, 9, 4, generator=generator, dtype=torch.float64) + 0.1
    fused = fuse(make(rows.tolist()), 1)
    assert fused.batch_shape == (5, 9)
    assert_same(fuse(make(rows.tolist()), -2), fused)
    for image in range(5):
        for output in range(9):
            first, second, third, fourth = exact(rows[image, :, output].tolist())
            result = fuse_two(fuse_two(fuse_two(first, second), third), fourth)
            one = fused[image, output]
            assert [one.loc.item(), one.nu.item(), one.alpha.item(), one.beta.item()] == pytest.approx(
                [float(value) for value in result], rel=1e-13
            )


@given(expert)
def test_one_expert_is_left_as_it_is(row):
    alone = make([row])
    for fused in (fuse(alone, 0), fuse(alone, 0, weight=1.0), fuse(alone, 0, weight=torch.ones(1))):
        for before, after in zip(parameters(alone), parameters(fused), strict=True):
            assert torch.equal(before[0], after)


@given(experts, st.randoms(use_true_random=False))
def test_the_order_of_experts_does_not_matter(rows, random):
    shuffled = random.sample(rows, len(rows))
    assert_same(fuse(make(rows), 0), fuse(make(shuffled), 0))


@given(st.lists(st.tuples(expert, st.integers(0, 3)), min_size=1, max_size=6).filter(lambda r: any(n for _, n in r)))
def test_an_integer_weight_counts_an_expert_that_often(rows):
    counts = torch.tensor([count for _, count in rows])
    nig = make([row for row, _ in rows])
    repeated = nig.map(lambda p: p.repeat_interleave(counts))
    assert_same(fuse(nig, 0, weight=counts), fuse(repeated, 0))


@given(experts, st.floats(0.1, 3))
def test_a_common_weight_tempers_all_of_the_evidence(rows, weight):
    weight = max(weight, 1 / len(rows))
    full, tempered = fuse(make(rows), 0), fuse(make(rows), 0, weight=weight)
    torch.testing.assert_close(tempered.loc, full.loc, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(tempered.nu, weight * full.nu, rtol=1e-12, atol=0)
    torch.testing.assert_close(tempered.beta, weight * full.beta, rtol=1e-12, atol=0)
    # α + ½ is what adds up over experts, so it is what a common weight scales.
    torch.testing.assert_close(tempered.alpha + 0.5, weight * (full.alpha + 0.5), rtol=1e-12, atol=0)


def test_fifteen_equal_experts_claim_too_much_unless_tempered():
    nig = NormalInverseGamma(torch.full((15,), 3.0), 2.0, 2.0, 1.0)
    fused = fuse(nig, 0)
    torch.testing.assert_close(nig.epistemic[0] / fused.epistemic, torch.tensor(36.0))
    torch.testing.assert_close(nig.aleatoric[0] / fused.aleatoric, torch.tensor(2.4))
    tempered = fuse(nig, 0, weight=1 / 15)
    assert_same(tempered, nig[0], rtol=1e-6, atol=1e-6)
    as_four = fuse(nig, 0, weight=4 / 15)
    assert_same(as_four, fuse(nig[:4], 0), rtol=1e-6, atol=1e-6)


def test_alpha_minus_one_is_not_lost():
    nig = NormalInverseGamma.from_alpha_minus_one(torch.zeros(3), 1.0, torch.tensor([1e-10, 5.0, 7.0]), 1.0)
    kept = fuse(nig, 0, weight=torch.tensor([1.0, 0.0, 0.0]))
    assert kept.alpha_minus_one == torch.tensor(1e-10)
    assert fuse_local_global(nig[:1], nig[0], 0).alpha_minus_one == 1.5


def test_weights_broadcast_to_the_batch_shape():
    nig = NormalInverseGamma(torch.arange(6.0).reshape(2, 3), 1.0, 2.0, 1.0)
    per_expert = fuse(nig, 0, weight=torch.tensor([[1.0], [3.0]]))
    torch.testing.assert_close(per_expert.loc, (nig.loc[0] + 3 * nig.loc[1]) / 4)
    each = fuse(nig, 0, weight=torch.tensor([[1.0, 2.0, 0.0], [1.0, 0.0, 5.0]]))
    torch.testing.assert_close(each.loc, torch.tensor([1.5, 1.0, 5.0]))
    torch.testing.assert_close(each.nu, torch.tensor([2.0, 2.0, 5.0]))


def test_a_weight_that_does_not_broadcast_is_refused_with_the_right_shape():
    nig = NormalInverseGamma(torch.zeros(4, 3), 1.0, 2.0, 1.0)
    # (3,) would fit the last dimension, which is not the experts'.
    for shape in ((4,), (3,), (2, 4, 3), (4, 2)):
        with pytest.raises(ValueError, match=r"does not broadcast, dimension by dimension, to .* \(4, 3\).*\(4, 1\)"):
            fuse(nig, 0, weight=torch.ones(shape))


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_negative_and_infinite_weights_are_refused(bad):
    nig = NormalInverseGamma(torch.zeros(2), 1.0, 2.0, 1.0)
    with pytest.raises(ValueError, match="weight must be"):
        fuse(nig, 0, weight=bad)
    with pytest.raises(ValueError, match="weight must be finite and not negative"):
        fuse(nig, 0, weight=torch.tensor([1.0, bad]), validate_args=True)


def test_weights_that_leave_nothing_are_refused():
    nig = NormalInverseGamma(torch.zeros(2, 3), 1.0, 2.0, 1.0)
    weight = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 1.0]])
    with pytest.raises(ValueError, match="no evidence is left in at least one place"):
        fuse(nig, 0, weight=weight, validate_args=True)
    with pytest.raises(ValueError, match="above 0"):
        fuse(nig, 0, weight=0.0)


def test_several_distributions_are_fused_as_along_a_dimension(generator):
    nig = make((torch.rand(3, 4, 2, 4, generator=generator) + 0.1).tolist())
    each = list(nig)
    assert_same(fuse(*each), fuse(nig, 0), rtol=0, atol=0)
    weight = [2.0, torch.tensor([1.0, 0.5]), 0]
    stacked = torch.stack([torch.as_tensor(w, dtype=torch.float64).expand(4, 2) for w in weight])
    assert_same(fuse(*each, weight=weight), fuse(nig, 0, weight=stacked), rtol=0, atol=0)
    mask = [True, torch.tensor([True, False]), False]
    assert_same(fuse(*each, mask=mask), fuse(nig, 0, mask=torch.stack([torch.as_tensor(m).expand(4, 2) for m in mask])))


def test_what_is_not_several_distributions_or_one_and_a_dimension_is_refused():
    nig = NormalInverseGamma(torch.zeros(2), 1.0, 2.0, 1.0)
    for arguments, named in (((nig,), {}), ((nig, nig), {"dim": 0}), ((nig, 0), {"dim": 0}), ((nig, 0, nig), {})):
        with pytest.raises(TypeError, match="one distribution and one dim, or several distributions and no dim"):
            fuse(*arguments, **named)
    with pytest.raises(TypeError, match="argument 2 is of type Tensor"):
        fuse(nig, nig, torch.zeros(2))
    with pytest.raises(ValueError, match=r"batch shape of the first, \(2,\), but argument 1 has \(\)"):
        fuse(nig, nig[0])
    for bad in (0.5, [1.0], torch.ones(3)):
        with pytest.raises(ValueError, match="weight must be a sequence with one entry for each of 2 distributions"):
            fuse(nig, nig, weight=bad)


present = st.lists(st.tuples(expert, st.booleans(), st.floats(0.5, 3)), min_size=1, max_size=6)


# A total weight of 1 is always enough evidence; less may leave α ≤ 1, which is refused.
@given(present.filter(lambda rows: sum(weight for _, there, weight in rows if there) >= 1))
def test_a_mask_leaves_out_experts_whatever_they_hold(rows):
    there = torch.tensor([there for _, there, _ in rows])
    weight = torch.tensor([weight for _, _, weight in rows], dtype=torch.float64)
    nig = make([row for row, _, _ in rows])
    broken = nig.map(lambda p: torch.where(there, p, torch.nan))
    assert_same(fuse(broken, 0, mask=there), fuse(nig[there], 0))
    assert_same(fuse(broken, 0, mask=there, weight=2.0), fuse(nig[there], 0, weight=2.0))
    gaps = torch.where(there, weight, torch.nan)
    assert_same(fuse(broken, 0, mask=there, weight=gaps, validate_args=True), fuse(nig[there], 0, weight=weight[there]))


def test_a_masked_expert_gets_no_gradient():
    loc = torch.tensor([1.0, torch.nan, 3.0], requires_grad=True)
    nu = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    nig = NormalInverseGamma(loc, nu, 2.0, 1.0, validate_args=False)
    fused = fuse(nig, 0, mask=torch.tensor([True, False, True]))
    by_loc, by_nu = torch.autograd.grad(fused.loc + fused.beta, [loc, nu])
    assert by_loc[1] == by_nu[1] == 0
    assert by_loc.isfinite().all()
    assert by_loc[0] != 0


def test_a_mask_that_leaves_nothing_or_is_not_bool_is_refused():
    nig = NormalInverseGamma(torch.zeros(2, 3), 1.0, 2.0, 1.0)
    with pytest.raises(ValueError, match="no evidence is left in at least one place: all its experts are masked out"):
        fuse(nig, 0, mask=torch.tensor([[True, False, True]]), validate_args=True)
    unchecked = fuse(nig, 0, mask=torch.tensor([[True, False, True]]), validate_args=False)
    assert unchecked.loc.isnan().tolist() == [False, True, False]
    with pytest.raises(TypeError, match=r"mask must be a bool tensor, got torch\.float32"):
        fuse(nig, 0, mask=torch.ones(2, 3))
    with pytest.raises(
        ValueError, match=r"mask of shape \(2,\) does not broadcast, dimension by dimension, to .* \(2, 3\)"
    ):
        fuse(nig, 0, mask=torch.tensor([True, False]))


def test_nan_in_a_parameter_is_not_taken_for_a_mask():
    nig = NormalInverseGamma(torch.zeros(2), torch.tensor([1.0, torch.nan]), 2.0, 1.0, validate_args=False)
    with pytest.raises(ValueError, match="nig holds NaN in its nu or alpha"):
        fuse(nig, 0, mask=torch.tensor([True, True]), validate_args=True)
    assert fuse(nig, 0, mask=torch.tensor([True, False]), validate_args=True).nu == 1


def test_weights_of_several_distributions_may_be_a_vector_and_name_what_does_not_fit():
    nig = NormalInverseGamma(torch.tensor([1.0, 4.0]), 1.0, 2.0, 1.0)
    assert_same(fuse(nig, nig, weight=torch.tensor([1.0, 0.5])), fuse(nig, nig, weight=[1.0, 0.5]))
    with pytest.raises(ValueError, match=r"weight 1 of shape \(3,\) does not broadcast to batch shape \(2,\)"):
        fuse(nig, nig, weight=[1.0, torch.ones(3)])
    with pytest.raises(TypeError, match="weight must be a number or a tensor, got list"):
        fuse(nig, 0, weight=[1.0, 1.0])
    with pytest.raises(TypeError, match=r"several as fuse\(a, b, \.\.\.\), got list"):
        fuse([nig, nig], 0)


@pytest.mark.parametrize("shape", [(5, 40_000), (40_000, 5), (3, 5, 30_000), (7, 5, 4_000)])
def test_fusing_in_pieces_changes_nothing(shape, generator):
    """Without gradients, large inputs go through in pieces; with them they do not."""
    rows = torch.rand(*shape, 5, generator=generator) + 0.3  # five weights add up to more than 1
    *values, weight = rows.unbind(-1)
    dim = shape.index(5)
    nig = NormalInverseGamma.from_alpha_minus_one(*values)
    recorded = nig.map(lambda p: p.clone().requires_grad_())
    for options in ({}, {"weight": 0.5}, {"weight": weight}, {"mask": weight > 0.4, "validate_args": False}):
        pieces, whole = fuse(nig, dim, **options), fuse(recorded, dim, **options)
        assert whole.loc.requires_grad
        assert not pieces.loc.requires_grad
        for a, b in zip(parameters(pieces), parameters(whole), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6, equal_nan=True)


def test_weights_that_leave_alpha_at_most_one_are_refused():
    nig = NormalInverseGamma(torch.zeros(2), 1.0, 2.0, 1.0)
    # Σ wᵢ(αᵢ + ½) − ½ = 0.2·5 − ½ = ½
    for weight in (0.2, torch.full((2,), 0.2)):
        with pytest.raises(ValueError, match=r"alpha <= 1 .*-0\.5"):
            fuse(nig, 0, weight=weight, validate_args=True)
    assert fuse(nig, 0, weight=torch.full((2,), 0.2), validate_args=False).alpha.item() == pytest.approx(0.5)


@pytest.mark.parametrize(
    "function", [lambda nig, dim: fuse(nig, dim), lambda nig, dim: fuse_local_global(nig, nig, dim)]
)
def test_a_missing_dimension_is_refused(function):
    nig = NormalInverseGamma(torch.zeros(2, 3), 1.0, 2.0, 1.0)
    for dim in (2, -3):
        with pytest.raises(IndexError, match=rf"no dimension {dim} in batch shape \(2, 3\)"):
            function(nig, dim)
    with pytest.raises(IndexError, match="no dimension 0"):
        function(NormalInverseGamma(0.0, 1.0, 2.0, 1.0), 0)


def test_no_experts_are_refused():
    nig = NormalInverseGamma(torch.zeros(2, 0), 1.0, 2.0, 1.0)
    with pytest.raises(ValueError, match=r"dimension 1 of batch shape \(2, 0\) is empty"):
        fuse(nig, 1)
    with pytest.raises(ValueError, match=r"dimension 1 of batch shape \(2, 0\) is empty"):
        fuse_local_global(nig, NormalInverseGamma(torch.zeros(2), 1.0, 2.0, 1.0), 1)


@given(experts, expert)
def test_eq24_and_eq25_against_the_pairwise_form(rows, global_row):
    fused = fuse_local_global(make(rows), make(global_row), 0)
    pairs = [fuse_two(member, exact([global_row])[0]) for member in exact(rows)]
    averages = [float(sum(values) / len(pairs)) for values in zip(*pairs, strict=True)]
    largest = max(abs(row[0]) for row in [*rows, global_row])
    assert abs(fused.loc.item() - averages[0]) <= 1e-14 * largest
    assert [fused.nu.item(), fused.alpha.item(), fused.beta.item()] == pytest.approx(averages[1:], rel=1e-12)


def test_eq24_fuses_each_local_with_the_global_expert(generator):
    local = make((torch.rand(2, 4, 9, 4, generator=generator) + 0.1).tolist())
    global_ = make((torch.rand(2, 9, 4, generator=generator) + 0.1).tolist())
    fused = fuse_local_global(local, global_, 1)
    stacked = [
        torch.stack([a, b.unsqueeze(1).expand_as(a)])
        for a, b in zip(parameters(local), parameters(global_), strict=True)
    ]
    each = fuse(NormalInverseGamma.from_alpha_minus_one(*stacked), 0)
    assert_same(fused, each.map(lambda p: p.mean(1)))
    assert fused.batch_shape == (2, 9)


def test_eq25_does_not_grow_with_the_number_of_local_experts():
    global_ = NormalInverseGamma(3.0, 1.0, 2.0, 1.0)
    four, fifteen = (fuse_local_global(global_.expand((n,)), global_, 0) for n in (4, 15))
    assert_same(four, fifteen, rtol=1e-6, atol=1e-6)


def test_a_global_expert_of_another_shape_is_refused():
    local = NormalInverseGamma(torch.zeros(2, 4, 9), 1.0, 2.0, 1.0)
    with pytest.raises(ValueError, match=r"\(2, 9\), but has \(9,\)"):
        fuse_local_global(local, NormalInverseGamma(torch.zeros(9), 1.0, 2.0, 1.0), 1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_fused_in_single(dtype, generator):
    rows = (torch.rand(6, 3, 4, generator=generator) + 0.2).to(dtype)
    half = NormalInverseGamma.from_alpha_minus_one(*rows.unbind(-1))
    single = half.map(torch.Tensor.float)
    with torch.autocast("cpu", dtype=dtype):
        results = fuse(half, 0), fuse(half, 0, weight=0.5), fuse_local_global(half, half[0], 0)
    expected = fuse(single, 0), fuse(single, 0, weight=0.5), fuse_local_global(single, single[0], 0)
    for result, reference in zip(results, expected, strict=True):
        assert result.loc.dtype == torch.float32
        assert_same(result, reference, rtol=0, atol=0)


def fused_sum(weight, *values):
    local = NormalInverseGamma.from_alpha_minus_one(*values, validate_args=False)
    fused = fuse(local, 0, weight=weight, validate_args=False)
    mixed = fuse_local_global(local, local[0], 0)
    return torch.stack([*parameters(fused), *parameters(mixed)])


def test_gradients_of_fusion(generator):
    values = [(torch.rand(3, 2, generator=generator, dtype=torch.float64) + 0.3).requires_grad_() for _ in range(5)]
    assert torch.autograd.gradcheck(fused_sum, values)
    assert torch.autograd.gradgradcheck(fused_sum, values)


def test_fusion_is_one_graph_with_its_checks_on(generator):
    values = [torch.rand(3, 2, generator=generator) + 0.3 for _ in range(5)]

    def fused(weight, *parameters_):
        nig = NormalInverseGamma.from_alpha_minus_one(*parameters_, validate_args=False)
        return torch.stack(parameters(fuse(nig, 0, weight=weight)))

    compiled = torch.compile(fused, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*values), fused(*values))


def test_fusion_keeps_the_decision_about_validation():
    for validate_args in (True, False):
        nig = NormalInverseGamma(torch.zeros(2), 1.0, 2.0, 1.0, validate_args=validate_args)
        for fused in (fuse(nig, 0), fuse(nig, nig), fuse_local_global(nig, nig[0], 0)):
            assert fused._validate_args == validate_args


def test_fusion_under_vmap(generator):
    values = [torch.rand(5, 3, 2, generator=generator) + 0.3 for _ in range(5)]
    mapped = torch.func.vmap(fused_sum)(*values)
    looped = torch.stack([fused_sum(*(value[i] for value in values)) for i in range(5)])
    torch.testing.assert_close(mapped, looped)
