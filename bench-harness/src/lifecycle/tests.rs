use super::*;
use crate::store::MemoryFactory;
use crate::store::faulty::{FaultyFactory, Lie};

fn data() -> RealData {
    let pairs: Vec<_> = (0..500).map(|i| (format!("key{i:04}"), format!("value {i}"))).collect();
    RealData::from_pairs(pairs.iter().map(|(k, v)| (k.as_bytes(), v.as_bytes())))
}

fn live(factory: &dyn StoreFactory) -> Result<Life, BenchError> {
    let options = LifeOptions { durability: Durability::PageCache, load_seed: 1, read_seed: 2 };
    check(factory, Path::new("life"), &Settings::default(), &data(), options, &Progress::new(true))
}

#[test]
fn an_honest_store_passes_and_is_counted() {
    let life = live(&MemoryFactory::default()).expect("a map does not lie");
    assert_eq!((life.records, life.bytes), (500, data().bytes()));
    assert_eq!((life.load_latency.count(), life.read_latency.count()), (500, 500));
}

#[test]
fn every_lie_is_found() {
    for lie in [
        Lie::LosesWrite(0),
        Lie::LosesWrite(499),
        Lie::FlipsBit,
        Lie::EndsScansEarly,
        Lie::OvercountsScans,
        Lie::RepeatsEntries,
        Lie::ForgetsOnClose,
    ] {
        assert!(matches!(live(&FaultyFactory::new(lie)), Err(BenchError::Wrong { .. })), "{lie:?}");
    }
}

#[test]
fn a_lie_that_does_not_concern_this_life_is_not_blamed() {
    assert!(live(&FaultyFactory::new(Lie::KeepsDeleted)).is_ok());
}
