#![allow(clippy::unwrap_used)]

use super::*;

fn feature() -> Feature {
    Feature { name: "a".to_owned(), kind: FeatureKind::Numeric, categories: None }
}

/// Returns a stump on the first feature whose leaves give 1 and 2.
fn stump(threshold: f64, comparison: Comparison, missing: Missing, default_left: bool) -> Result<Tree, Invalid> {
    let test = Test::Numeric { threshold, comparison, missing, default_left };
    let node = Node { feature: 0, test, left: Child::Leaf(0), right: Child::Leaf(1) };
    Tree::new(vec![node], vec![1.0, 2.0])
}

fn parts(trees: Vec<Tree>) -> Parts {
    let link = Link::Binary { slope: 1.0 };
    Parts { features: vec![feature()], trees, base_score: 0.0, sum: SumWidth::F64, link, average_output: false }
}

#[test]
fn a_split_compares_as_it_says_and_sends_missing_values_to_their_side() {
    use Comparison::{Less, LessOrEqual};
    for (comparison, missing, default_left, value, expected) in [
        (LessOrEqual, Missing::Nan, false, 0.5, 1.0),
        (Less, Missing::Nan, false, 0.5, 2.0),
        (Less, Missing::Nan, false, 0.5_f64.next_down(), 1.0),
        (Less, Missing::Nan, true, f64::NAN, 1.0),
        (Less, Missing::Nan, false, f64::NAN, 2.0),
        (Less, Missing::None, false, f64::NAN, 1.0),
        (Less, Missing::Zero, false, 0.0, 2.0),
        (Less, Missing::Zero, true, 7.0, 2.0),
    ] {
        let ensemble = Ensemble::new(parts(vec![stump(0.5, comparison, missing, default_left).unwrap()])).unwrap();
        assert_eq!(ensemble.raw_score(&[value]), expected, "{comparison:?} {missing:?} {default_left} {value}");
    }
}

#[test]
fn a_sum_starts_at_the_base_score_and_is_as_wide_as_it_says() {
    let leaf = |value: f64| Tree::new(Vec::new(), vec![value]).unwrap();
    let small = 2.0_f64.powi(-30);
    for (sum, expected) in [(SumWidth::F64, 1.0 + 2.0 * small), (SumWidth::F32, 1.0)] {
        let trees = vec![leaf(small), leaf(small)];
        let ensemble = Ensemble::new(Parts { base_score: 1.0, sum, ..parts(trees) }).unwrap();
        assert_eq!(ensemble.raw_score(&[0.0]), expected, "{sum:?}");
    }
}

#[test]
fn parts_that_are_no_ensemble_are_refused() {
    let good = || stump(0.5, Comparison::Less, Missing::None, false).unwrap();
    let says = |result: Result<Ensemble, Invalid>, says: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    says(Ensemble::new(parts(Vec::new())), "no trees");
    says(Ensemble::new(Parts { features: Vec::new(), ..parts(vec![good()]) }), "tree 0 looks at feature 0");
    says(Ensemble::new(Parts { base_score: f64::NAN, ..parts(vec![good()]) }), "the base score is NaN");
    let averaged = Parts { base_score: 1.0, average_output: true, ..parts(vec![good()]) };
    says(Ensemble::new(averaged), "the base score is 1");
    says(Ensemble::new(Parts { link: Link::Binary { slope: -1.0 }, ..parts(vec![good()]) }), "the slope");
}

#[test]
fn nodes_and_leaves_that_are_no_tree_are_refused() {
    let test = || Test::Categorical(CategorySet::new(&[1]).unwrap());
    let node = |left, right| Node { feature: 0, test: test(), left, right };
    let (leaf, to) = (Child::Leaf, Child::Node);
    for (nodes, leaves, says) in [
        (vec![], vec![], "0 leaves for 0 nodes"),
        (vec![node(leaf(0), leaf(1))], vec![0.0], "1 leaves for 1 nodes"),
        (vec![node(leaf(0), leaf(2))], vec![0.0; 2], "node 0 leads to leaf 2"),
        (vec![node(leaf(0), leaf(0))], vec![0.0; 2], "leaf 0 has two parents"),
        (vec![node(to(1), leaf(0)), node(to(1), leaf(1))], vec![0.0; 3], "node 1 has two parents"),
        (vec![node(to(0), leaf(0))], vec![0.0; 2], "node 0 leads back to node 0"),
        (vec![node(leaf(0), leaf(1))], vec![0.0, f64::INFINITY], "the output of leaf 1 is not finite"),
    ] {
        let error = Tree::new(nodes, leaves).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    for (threshold, comparison) in [(f64::NAN, Comparison::LessOrEqual), (f64::NEG_INFINITY, Comparison::Less)] {
        assert!(stump(threshold, comparison, Missing::None, false).is_err(), "{threshold}");
    }
    let lacking = stump(0.5, Comparison::Less, Missing::None, false).unwrap().with_linear(Vec::new());
    assert!(lacking.unwrap_err().to_string().contains("0 linear models for 2 leaves"));
}
