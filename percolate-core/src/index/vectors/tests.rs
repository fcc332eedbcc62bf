//! The contract of [`VectorIndex`], checked for every implementation.

use uuid::Uuid;

use super::exact::Exact;
use super::{Neighbour, VectorError, VectorIndex};

/// Checks the contract of [`VectorIndex`].
pub(super) fn check_contract(
    empty: impl Fn(usize) -> Box<dyn VectorIndex>,
    from: impl Fn(usize, &[u8]) -> Box<dyn VectorIndex>,
) {
    finds_nearest_first(empty(2));
    replaces_and_removes(empty(2));
    returns_k_results(empty(2));
    tells_what_it_holds(empty(2));
    serves_many_threads_at_once(empty(2));
    refuses_other_dimensions(empty(2));
    is_restored_from_its_bytes(empty(2), from);
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn ids(found: &[Neighbour]) -> Vec<u128> {
    found
        .iter()
        .map(|neighbour| neighbour.id.as_u128())
        .collect()
}

/// The numbers 1 to `count`, on an arc that leads away from (1, 0).
fn arc(index: &mut dyn VectorIndex, count: u16) {
    for number in 1..=count {
        let angle = f32::from(number) / f32::from(count);
        index
            .set(id(number.into()), &[angle.cos(), angle.sin()])
            .unwrap();
    }
}

fn finds_nearest_first(mut index: Box<dyn VectorIndex>) {
    assert!(index.search(&[1.0, 0.0], 5).unwrap().is_empty());
    arc(&mut *index, 9);
    let found = index.search(&[1.0, 0.0], 3).unwrap();
    assert_eq!(ids(&found), [1, 2, 3]);
    assert!(index.search(&[f32::NAN, 0.0], 3).unwrap().is_empty());
    assert!(found[0].distance >= 0.0 && found[0].distance < found[1].distance);
}

fn replaces_and_removes(mut index: Box<dyn VectorIndex>) {
    arc(&mut *index, 3);
    index.set(id(1), &[-1.0, 0.0]).unwrap();
    assert_eq!(index.len(), 3);
    assert_eq!(ids(&index.search(&[1.0, 0.0], 9).unwrap()), [2, 3, 1]);
    index.remove(id(2)).unwrap();
    index.remove(id(77)).unwrap();
    index.set(id(3), &[0.0, 0.0]).unwrap();
    index.set(id(4), &[f32::INFINITY, 0.0]).unwrap();
    assert_eq!(ids(&index.search(&[1.0, 0.0], 9).unwrap()), [1]);
    assert_eq!(index.len(), 1);
}

fn returns_k_results(mut index: Box<dyn VectorIndex>) {
    arc(&mut *index, 300);
    let numbers: Vec<u128> = (1..=300).collect();
    assert_eq!(ids(&index.search(&[1.0, 0.0], 300).unwrap()), numbers);
    assert_eq!(
        ids(&index.search(&[1.0, 0.0], usize::MAX).unwrap()),
        numbers
    );
    assert!(index.search(&[1.0, 0.0], 0).unwrap().is_empty());
}

fn tells_what_it_holds(mut index: Box<dyn VectorIndex>) {
    arc(&mut *index, 5);
    let numbers = |after: Option<u128>, limit| {
        index
            .ids_after(after.map(id), limit)
            .into_iter()
            .map(|id| id.as_u128())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (numbers(None, 2), numbers(Some(2), 9)),
        (vec![1, 2], vec![3, 4, 5])
    );
    let angle = 1.0_f32 / 5.0;
    assert!(index.holds(id(1), &[angle.cos(), angle.sin()]));
    assert!(!index.holds(id(2), &[angle.cos(), angle.sin()]));
    assert!(!index.holds(id(6), &[1.0, 0.0]) && index.holds(id(6), &[0.0, 0.0]));
}

fn serves_many_threads_at_once(mut index: Box<dyn VectorIndex>) {
    arc(&mut *index, 300);
    let index = &*index;
    let together = std::sync::Barrier::new(32);
    std::thread::scope(|threads| {
        for _ in 0..32 {
            threads.spawn(|| {
                together.wait();
                for _ in 0..200 {
                    assert_eq!(ids(&index.search(&[1.0, 0.0], 3).unwrap()), [1, 2, 3]);
                }
            });
        }
    });
}

fn refuses_other_dimensions(mut index: Box<dyn VectorIndex>) {
    let wrong = |result| {
        matches!(
            result,
            Err(VectorError::WrongDimensions {
                expected: 2,
                found: 3
            })
        )
    };
    assert!(wrong(index.set(id(1), &[1.0; 3])));
    assert!(wrong(index.search(&[1.0; 3], 1).map(drop)));
}

fn is_restored_from_its_bytes(
    mut index: Box<dyn VectorIndex>,
    from: impl Fn(usize, &[u8]) -> Box<dyn VectorIndex>,
) {
    arc(&mut *index, 20);
    index.remove(id(1)).unwrap();
    let mut again = from(2, &index.to_bytes().unwrap());
    assert_eq!(again.len(), 19);
    assert_eq!(ids(&again.search(&[1.0, 0.0], 2).unwrap()), [2, 3]);
    again.set(id(1), &[1.0, 0.0]).unwrap();
    assert_eq!(ids(&again.search(&[1.0, 0.0], 1).unwrap()), [1]);
}

#[test]
fn the_exact_index_satisfies_the_contract_of_indexes() {
    check_contract(
        |dimensions| Box::new(Exact::new(dimensions)),
        |dimensions, bytes| Box::new(Exact::from_bytes(dimensions, bytes).unwrap()),
    );
}
