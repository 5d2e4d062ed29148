//! Each question to the DNS and each dynamic update, with the real program, on a network that loses, doubles and mangles
//! messages, and before a server that answers something else: how the run ends, and that the next one comes to its end.

use std::fs;

use certferry_sandbox::dns::{Mangle, RecordType, Relay, Which};
use certferry_sandbox::world::Provider;

use crate::dns_calls::{NAME, town_of};
use crate::issuing::{ONE, Town};
use crate::rows::side_by_side;

const MANGLES: [Mangle; 12] = [
    Mangle::Lost,
    Mangle::LostAnswer,
    Mangle::Twice,
    Mangle::CutShort,
    Mangle::Half,
    Mangle::Garbled,
    Mangle::AnothersId,
    Mangle::AnothersQuestion,
    Mangle::WrongType,
    Mangle::Oversized,
    Mangle::Reset,
    Mangle::Drip,
];

/// Once, or as long as the run lasts.
const TIMES: [usize; 2] = [1, usize::MAX];

/// A town whose only way to the DNS is the relay.
fn relayed(provider: Provider) -> (Town, Relay) {
    let town = town_of(provider);
    let server = town.world.dns.addresses()[0];
    let relay = Relay::start(server);
    let text = fs::read_to_string(&town.config).unwrap();
    let line = text.lines().find(|line| line.starts_with("nameservers")).unwrap();
    town.edit(line, &format!("nameservers = [\"{}\"]", relay.address()));
    if provider == Provider::Rfc2136 {
        let own = format!("server = \"{server}\"");
        town.edit(&own, &format!("server = \"{}\"", relay.address()));
    }
    (town, relay)
}

/// Does the run fail?
fn fails(which: Which, what: Mangle, times: usize) -> bool {
    use Mangle::{AnothersId, CutShort, Oversized, Twice, WrongType};
    if times == 1 && which != Which::Update {
        return false;
    }
    match which {
        // It is sent once; the answer to it is known by its signature.
        Which::Update => ![Twice, CutShort, AnothersId].contains(&what),
        // Nothing of the type is there then: for a value that is to show, that is not enough.
        Which::Question(RecordType::TXT) => ![Twice, CutShort, Oversized].contains(&what),
        Which::Question(_) => ![Twice, CutShort, Oversized, WrongType].contains(&what),
    }
}

fn check(provider: Provider, which: Which, what: Mangle, times: usize) {
    let row = format!("{provider:?}, {which:?}, {what:?}, {times} times");
    let (town, relay) = relayed(provider);
    if times == 1 {
        // A lost datagram is waited for.
        town.edit("propagation_timeout = \"2s\"", "propagation_timeout = \"20s\"");
    }
    relay.mangle(which, what, times);
    let ended = town.watched("renew", &[]);
    let left = relay.heal();
    assert!(left != times, "{row}: it never struck: {}", ended.all());
    assert_eq!(ended.code == 1, fails(which, what, times), "{row}: {}", ended.all());
    if ended.code != 0 {
        assert!(ended.stderr.contains("help: "), "{row}: {}", ended.all());
    }
    let healed = town.run("renew example.test");
    assert_eq!((healed.code, town.cost()), (0, ONE), "{row}, healed: {}", healed.all());
    let left = town.world.dns.zones().values(NAME, "TXT");
    assert!(left.is_empty(), "{row}, healed: {left:?} is left: {}", healed.all());
    let plan = town.run("plan --json").json();
    assert_eq!(plan["steps"].as_array().unwrap().len(), 0, "{row}: a plan is left: {plan:#}");
}

#[test]
fn messages_on_their_way() {
    let mut rows = Vec::new();
    for (provider, which) in [
        (Provider::Alidns, Which::Question(RecordType::CNAME)),
        (Provider::Alidns, Which::Question(RecordType::TXT)),
        (Provider::Rfc2136, Which::Question(RecordType::SOA)),
        (Provider::Rfc2136, Which::Update),
    ] {
        for what in MANGLES {
            rows.extend(TIMES.map(|times| (provider, which, what, times)));
        }
    }
    side_by_side(&rows, |&(provider, which, what, times)| check(provider, which, what, times));
}
