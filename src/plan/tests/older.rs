//! An older Cert never replaces a newer one: what is on disk, what is served, what is known of both.

use super::*;

/// `a` has Cert number `leaf` on disk, and its target serves another: is that one older?
struct Older {
    leaf: Leaf,
    served: Leaf,
    succession: &'static [u8],
    ours: bool,
    asked: Asked,
    taken: Option<Taken>,
}

impl Older {
    fn new(leaf: Leaf, served: Leaf, succession: &'static [u8]) -> Self {
        Self { leaf, served, succession, ours: true, asked: Asked::default(), taken: None }
    }

    fn check(self, row: &str, expect: &str) {
        let served = Leaf { names: vec!["cdn.example.com".to_owned()], ..self.served };
        let world = World {
            source: Some("/live/a"),
            leaf: Some(self.leaf),
            served: Some(Served::Leaf(served)),
            succession: self.succession.to_vec(),
            ours: self.ours,
            asked: self.asked,
            taken: self.taken,
            ..World::default()
        };
        check(row, world, &[expect]);
    }
}

/// The same Cert with a life of so many days, begun at `from`.
fn lived(leaf: Leaf, from: Timestamp, life: i64) -> Leaf {
    Leaf { not_before: from, not_after: days(from, life), ..leaf }
}

#[test]
fn older_never_replaces_newer() {
    let older = "Skip it serves a newer";
    let newer = "Deploy it serves the earlier certificate";
    let (now, by) = (at(NOW), |ca: &str, leaf| Leaf { issuer: ca.to_owned(), ..leaf });
    Older::new(leaf(1, 60), leaf(2, 80), &[1, 2]).check("a hook with an old lineage", older);
    Older::new(leaf(2, 80), leaf(1, 60), &[1, 2]).check("the usual", newer);
    Older::new(leaf(3, 80), leaf(1, 60), &[1, 2]).check("never seen is the newest", newer);
    Older::new(leaf(2, 5), leaf(1, 80), &[1, 2]).check("dates decide nothing", newer);
    let (long, short) = (lived(leaf(1, 0), days(now, -2), 90), lived(leaf(2, 0), days(now, -1), 6));
    Older::new(short.clone(), long.clone(), &[1, 2]).check("from 90 days to 6", newer);
    Older::new(long, short, &[1, 2]).check("and the old one again", older);
    let backdated = lived(leaf(2, 0), days(now, -20), 90);
    Older::new(by("Z1", backdated), by("R3", leaf(1, 80)), &[1, 2])
        .check("a CA that backdates", newer);
    let twin = |number| lived(leaf(number, 0), days(now, -1), 90);
    Older::new(twin(2), twin(1), &[1, 2]).check("two in one second", newer);
    Older::new(twin(1), twin(2), &[1, 2]).check("two in one second, the first again", older);
    Older::new(leaf(1, 60), leaf(2, 0), &[1, 2])
        .check("the newer one expired", "Deploy what it serves expired");
    let forced =
        Older { asked: by_hand(Force::Yes), ..Older::new(leaf(1, 60), leaf(2, 80), &[1, 2]) };
    forced.check("asked for by hand", "Deploy asked for by --force");
}

#[test]
fn a_restored_store_undoes_nothing() {
    let ahead = || Older::new(leaf(1, 60), leaf(9, 80), &[1]);
    ahead().check("a store that is behind", "Skip it serves a newer");
    let by_us = |number, before| Older { taken: taken(number, 9000, before), ..ahead() };
    by_us(1, Before::Off).check("behind, and it took the old one", "Skip it serves a newer");
    by_us(9, Before::Off).check("put there by us: a pin, another lineage", "Deploy it serves");
    let it = Before::Leaf(Fingerprint::of(&[9]));
    by_us(1, it).check("replaced by us, without effect", "Deploy it serves");
    Older { ours: false, ..ahead() }.check("changed in the console", "Deploy it serves");
    Older::new(leaf(1, 60), leaf(9, 50), &[1]).check("it began earlier", "Deploy it serves");
    Older::new(leaf(1, 60), leaf(9, 60), &[1]).check("it began with ours", "Deploy it serves");
    Older::new(leaf(2, 90), leaf(9, 80), &[1, 2]).check("renewed since", "Deploy it serves");
    let short = lived(leaf(9, 0), days(at(NOW), -5), 6);
    let old = lived(leaf(1, 0), days(at(NOW), -20), 90);
    Older::new(old, short, &[1]).check("it ends soon", "Deploy it serves");
    Older::new(leaf(1, 60), leaf(9, -1), &[1])
        .check("it has expired", "Deploy what it serves expired");
}
