//! When certificates are renewed, and what an order says that it replaces: the CA's word and its refusals, as tables.

use std::fs;

use certferry_sandbox::ca::{Rules, Window};
use certferry_sandbox::fault::Fault;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::house::Ended;
use crate::issuing::{Town, ca_rules, certificate_more};

const PAGE: &str = "https://ca.sandbox.example/why-now";

/// From so many days from now on, for so many.
fn window(from: i64, days: i64) -> Window {
    let start = Timestamp::now() + SignedDuration::from_hours(24 * from);
    Window::Between(start, start + SignedDuration::from_hours(24 * days))
}

/// A town whose certificate is issued.
fn issued(change: impl FnOnce(&mut Rules)) -> Town {
    let town = Town::new(|seed| {
        ca_rules(seed, |rules| {
            // What is counted here are new orders.
            rules.nonce_refusals = 0;
            change(rules);
        });
    });
    ends_well("from nothing", &town.run("renew"));
    town
}

fn ends_well(row: &str, ended: &Ended) {
    assert_eq!(ended.code, 0, "{row}: {}", ended.all());
}

fn journal(town: &Town) -> Value {
    let text = fs::read_to_string(town.store("journal/lineages/example.test.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Changes what is remembered of the lineage.
fn remember(town: &Town, change: impl FnOnce(&mut Value)) {
    let mut memory = journal(town);
    change(&mut memory);
    fs::write(town.store("journal/lineages/example.test.json"), memory.to_string()).unwrap();
}

/// The CA may be asked again now.
fn let_ask(town: &Town) {
    remember(town, |memory| memory["ari"]["ask_again_at"] = json!("2026-01-01T00:00:00Z"));
}

fn asked(town: &Town) -> usize {
    town.world.ca.calls("renewalInfo").len()
}

fn serial(town: &Town, number: usize) -> String {
    town.world.ca.certificates()[number].serial.clone()
}

fn renews(town: &Town) -> (Timestamp, String) {
    let status = &town.run("status --json").json()["certificates"][0];
    let at = status["renew_at"].as_str().unwrap().parse().unwrap();
    (at, status["renew_reason"].as_str().unwrap().to_owned())
}

#[test]
fn a_window_to_come_is_kept_and_told() {
    let Window::Between(start, end) = window(10, 5) else { panic!("a window") };
    let town = issued(|rules| {
        rules.window = Window::Between(start, end);
        rules.explanation = Some(PAGE.to_owned());
    });
    assert_eq!(asked(&town), 1, "right after it was issued");
    let (at, reason) = renews(&town);
    assert!((start..end).contains(&at), "{at} is not between {start} and {end}");
    assert!(reason.contains(PAGE) && reason.contains("ARI"), "{reason}");
    let table = town.run("status").stdout;
    let page = table.split_whitespace().collect::<String>();
    assert!(page.contains(PAGE), "{table}");
    let planned = town.run("plan --json").json();
    assert_eq!(planned["certificates"][0]["renew_at"], at.to_string(), "{planned:#}");
    assert_eq!(planned["certificates"][0]["renew_reason"], reason, "{planned:#}");
    let text = town.run("plan");
    assert!(text.stdout.contains("the next renewal: example.test") && text.stdout.contains(PAGE));
    let kept = town.run("renew");
    ends_well("kept", &kept);
    assert!(kept.stdout.contains("renews from") && kept.stdout.contains(PAGE), "{}", kept.all());
    assert_eq!(town.cost(), [1, 1, 2, 0], "{}", kept.all());
    assert_eq!(asked(&town), 1, "not asked again before its time, by no command");
}

#[test]
fn the_same_window_has_the_same_instant_and_another_one_another() {
    let [first, other] = [window(10, 5), window(20, 5)];
    let town = issued(|rules| rules.window = first);
    let (at, _) = renews(&town);
    let_ask(&town);
    ends_well("asked again", &town.run("renew"));
    assert_eq!((asked(&town), renews(&town).0), (2, at), "the same window");
    let Window::Between(start, end) = other.clone() else { panic!("a window") };
    town.world.ca.set_window(&serial(&town, 0), other);
    let_ask(&town);
    ends_well("another window", &town.run("renew"));
    assert!((start..end).contains(&renews(&town).0), "drawn anew");
    // `plan` may ask, and remembers nothing.
    town.world.ca.set_window(&serial(&town, 0), Window::Passed);
    let_ask(&town);
    let before = journal(&town);
    let planned = town.run("plan --json").json();
    assert_eq!(planned["steps"][0]["kind"], "issue", "{planned:#}");
    assert_eq!(journal(&town), before);
}

/// The CA wants the first certificate replaced at once.
fn check_at_once(row: &str, wish: impl FnOnce(&Town)) {
    let town = issued(|rules| rules.explanation = Some(PAGE.to_owned()));
    wish(&town);
    let_ask(&town);
    let ended = town.run("renew");
    ends_well(row, &ended);
    assert!(ended.stdout.contains(PAGE), "{row}: {}", ended.all());
    assert_eq!(town.cost(), [2, 2, 4, 0], "{row}: {}", ended.all());
    let (orders, certificates) = (town.world.ca.orders(), town.world.ca.certificates());
    assert_eq!(orders[1].replaces.as_ref(), Some(&certificates[0].ari_id), "{row}");
    assert!(certificates[0].replaced, "{row}");
    let asked_of = town.world.ca.calls("renewalInfo");
    assert!(asked_of.last().unwrap().path.ends_with(&certificates[1].ari_id), "{row}");
    ends_well(row, &town.run("renew"));
    assert_eq!((asked(&town), town.cost()), (asked_of.len(), [2, 2, 4, 0]), "{row}: well again");
    assert!(renews(&town).0 > Timestamp::now(), "{row}");
}

#[test]
fn what_the_ca_wants_at_once_is_renewed_at_once() {
    check_at_once("an incident", |town| {
        town.world.ca.set_window(&serial(town, 0), Window::Passed);
    });
    check_at_once("revoked", |town| town.world.ca.revoke(&serial(town, 0)));
    check_at_once("over before the next run", |town| {
        let start = Timestamp::now() + SignedDuration::from_mins(10);
        let end = start + SignedDuration::from_mins(10);
        town.world.ca.set_window(&serial(town, 0), Window::Between(start, end));
    });
}

#[test]
fn a_ca_that_wants_every_certificate_replaced_gets_few() {
    let town = issued(|rules| rules.window = Window::Passed);
    for _ in 0..6 {
        ends_well("again", &town.run("renew"));
    }
    assert_eq!(town.cost()[..2], [4, 4], "three in a row, then one a day");
    assert!(renews(&town).1.contains("once a day"), "{:?}", renews(&town));
    // Its windows are never over, and never far: a run comes before each instant.
    let near = Timestamp::now() + SignedDuration::from_mins(20);
    let soon = Window::Between(near, near + SignedDuration::from_mins(1));
    let town = issued(|rules| rules.window = soon);
    for _ in 0..6 {
        ends_well("soon", &town.run("renew"));
    }
    assert_eq!(town.cost()[..2], [4, 4], "the same where the window is always near");
}

/// Without an answer of use, the certificate's own life decides; when the CA is asked again.
fn check_fallback(
    row: &str,
    change: impl FnOnce(&mut Rules),
    fault: Option<Fault>,
    hours: (i64, i64),
) {
    let town = Town::new(|seed| ca_rules(seed, change));
    town.world.ca.rules(|rules| rules.nonce_refusals = 0);
    town.world.ca.fault(fault.unwrap_or_else(|| Fault::at("nothing").times(0)));
    ends_well(row, &town.run("renew"));
    let (at, reason) = renews(&town);
    let certificate = &town.world.ca.certificates()[0];
    let life = certificate.not_after.duration_since(certificate.not_before);
    let third = certificate.not_after - life / 3;
    assert!(at.duration_since(third).abs() < SignedDuration::from_secs(2), "{row}: {at}");
    assert!(reason.contains("a third of its life"), "{row}: {reason}");
    let times = asked(&town);
    ends_well(row, &town.run("renew"));
    assert_eq!((asked(&town), town.cost()), (times, [1, 1, 2, 0]), "{row}: asked again at once");
    let ari = &journal(&town)["ari"];
    let time = |name: &str| ari[name].as_str().unwrap().parse::<Timestamp>().unwrap();
    let wait = time("ask_again_at").duration_since(time("asked_at"));
    let (least, most) =
        (SignedDuration::from_mins(60 * hours.0), SignedDuration::from_mins(60 * hours.1 + 1));
    assert!((least..=most).contains(&wait), "{row}: asked again after {wait:#}");
}

#[test]
fn without_an_answer_of_use_its_own_life_decides() {
    let unknown = |rules: &mut Rules| rules.window = Window::Unknown;
    check_fallback("no ARI", |rules| rules.ari = false, None, (6, 6));
    check_fallback("a CA that does not know it", unknown, None, (6, 6));
    check_fallback(
        "a window that ends before it begins",
        |rules| rules.window = Window::Reversed,
        None,
        (5, 6),
    );
    let busy = Fault::at("renewalInfo").always().before().answer("serverInternal", 503);
    check_fallback("a CA that is down", |_| {}, Some(busy.clone()), (0, 0));
    check_fallback("it says when", |_| {}, Some(busy.retry_after(7_200_000)), (1, 2));
    let cut = Fault::at("renewalInfo").always().before().reset();
    check_fallback("no answer", |_| {}, Some(cut), (0, 0));
}

/// `Retry-After` within reason.
#[test]
fn the_ca_says_when_it_is_asked_again() {
    for (row, said, hours) in [
        ("its word", Some(4 * 3600), (3, 4)),
        ("a second", Some(1), (0, 0)),
        ("a month", Some(30 * 24 * 3600), (24, 24)),
        ("no word", None, (6, 6)),
    ] {
        let town = issued(|rules| rules.renewal_retry_after = said);
        let ari = &journal(&town)["ari"];
        let time = |name: &str| ari[name].as_str().unwrap().parse::<Timestamp>().unwrap();
        let wait = time("ask_again_at").duration_since(time("asked_at"));
        // A date is said in whole seconds, and the CA's clock ran a moment earlier.
        let (least, most) =
            (SignedDuration::from_hours(hours.0), SignedDuration::from_mins(60 * hours.1 + 1));
        assert!((least..=most).contains(&wait), "{row}: {wait:#}");
    }
}

/// An order that names what it replaces is refused once, and made without; none is left behind.
fn check_refusal(row: &str, refuse: impl FnOnce(&Town), orders: usize) {
    let town = issued(|_| {});
    refuse(&town);
    town.world.ca.forget_calls();
    let ended = town.run("renew --force --json");
    ends_well(row, &ended);
    assert_eq!(ended.json()["certificates"][0]["outcome"], "issued", "{row}");
    let asked = town.world.ca.calls("newOrder");
    assert_eq!(asked.len(), orders, "{row}: {asked:#?}");
    assert!(asked[0].payload["replaces"].is_string() || orders == 1, "{row}");
    let all: Vec<_> = town.world.ca.orders().into_iter().map(|order| order.status).collect();
    assert_eq!(all, ["valid", "valid"], "{row}: an order is left");
    assert_eq!(town.run("status --json").json()["certificates"][0]["failures"], 0, "{row}");
}

#[test]
fn an_order_does_without_what_it_replaces_where_it_must() {
    let refused = |code: &'static str, status| {
        move |town: &Town| {
            town.world.ca.fault(Fault::at("newOrder").times(1).before().answer(code, status));
        }
    };
    check_refusal("welcome", |_| {}, 1);
    check_refusal("alreadyReplaced", |town| town.world.ca.call_replaced(&serial(town, 0)), 2);
    check_refusal("409", refused("conflict", 409), 2);
    check_refusal("404", refused("malformed", 404), 2);
    check_refusal("another kind of 404", refused("notFound", 404), 2);
    check_refusal("unauthorized", refused("unauthorized", 403), 2);
    check_refusal("malformed", refused("malformed", 400), 2);
    check_refusal(
        "not told again",
        |town| town.world.ca.rules(|rules| rules.echo_replaces = false),
        1,
    );
    check_refusal("no ARI any more", |town| town.world.ca.rules(|rules| rules.ari = false), 1);
}

#[test]
fn a_limit_is_no_reason_to_ask_twice() {
    let town = issued(|_| {});
    town.world.ca.forget_calls();
    let limit = Fault::at("newOrder").always().before().answer("rateLimited", 429);
    town.world.ca.fault(limit);
    assert_eq!(town.run("renew --force").code, 1);
    assert_eq!(town.world.ca.calls("newOrder").len(), 1);
    town.world.ca.heal();
    remember(&town, |memory| memory["failures"] = Value::Null);
    // Another account's certificate cannot be replaced by ours, nor one of another CA.
    for field in ["account", "directory"] {
        remember(&town, |memory| memory["ordered_from"][field] = json!("https://other.test/1"));
        town.world.ca.forget_calls();
        ends_well(field, &town.run("renew --force"));
        assert_eq!(town.world.ca.calls("newOrder")[0].payload["replaces"], Value::Null, "{field}");
    }
}

#[test]
fn another_ca_is_not_asked_about_a_certificate_that_it_did_not_issue() {
    let town = issued(|_| {});
    remember(&town, |memory| {
        memory["ordered_from"]["directory"] = json!("https://old.test/dir");
        memory["ari"] = Value::Null;
    });
    town.world.ca.forget_calls();
    ends_well("kept", &town.run("renew"));
    assert_eq!(asked(&town), 0);
}

#[test]
fn a_preferred_chain_is_taken_where_it_is_offered() {
    let leads_to = |town: &Town| {
        let chain = fs::read_to_string(town.store("live/example.test/fullchain.pem")).unwrap();
        certferry::cert::leads_to(chain.as_bytes()).unwrap()
    };
    for (row, wanted, alternates, gets, warned) in [
        ("the default", "Sandbox Root R", true, "Sandbox Root R", false),
        ("an alternate", "Sandbox Root E", true, "Sandbox Root E", false),
        ("none of this name", "Root of All", true, "Sandbox Root R", true),
        ("no alternates", "Sandbox Root E", false, "Sandbox Root R", true),
    ] {
        let town = Town::new(|seed| ca_rules(seed, |rules| rules.alternates = alternates));
        town.edit(
            "terms_agreed = true",
            &format!("terms_agreed = true\npreferred_chain = \"{wanted}\""),
        );
        let ended = town.run("renew --json");
        ends_well(row, &ended);
        assert_eq!(leads_to(&town), gets, "{row}");
        let warnings = ended.json()["warnings"].to_string();
        assert_eq!(warnings.contains("offers no chain to"), warned, "{row}: {warnings}");
        assert_eq!(town.cost(), [1, 1, 2, 0], "{row}");
        ends_well(row, &town.run("renew"));
        assert_eq!(town.cost(), [1, 1, 2, 0], "{row}: settled");
    }
}

#[test]
fn a_paused_name_shows_the_whole_link() {
    // As long as Boulder's: a signed token with its names.
    let link =
        format!("https://unpause.ca.sandbox.example/sfe/v1/unpause?jwt={}", "eyJhbGci.".repeat(90));
    let text = format!(
        "Your account is temporarily prevented from requesting certificates for example.test. Please visit: {link}"
    );
    let town = Town::new(|_| {});
    town.world
        .ca
        .fault(Fault::at("newOrder").times(1).before().answer("rateLimited", 429).saying(text));
    let ended = town.run("renew");
    assert_eq!(ended.code, 1, "{}", ended.all());
    assert!(ended.stderr.contains(&format!("open {link} ")), "{}", ended.all());
    ends_well("by hand, after the visit", &town.run("renew example.test"));
}

/// A run that is cut off leaves its order in this state; the next run carries on with it.
fn check_resumed(row: &str, state: &str, rules: impl FnOnce(&mut Rules), fault: &dyn Fn(&Town)) {
    let town = Town::new(|seed| ca_rules(seed, rules));
    fault(&town);
    assert_eq!(town.run("renew").code, 1, "{row}");
    assert_eq!(town.world.ca.orders()[0].status, state, "{row}");
    town.world.ca.heal();
    town.world.cloud.heal();
    let ended = town.run("renew");
    ends_well(row, &ended);
    assert_eq!(town.cost(), [1, 1, 2, 0], "{row}: {}", ended.all());
}

#[test]
fn an_order_is_carried_on_in_any_state() {
    let cut = |kind: &'static str| {
        move |town: &Town| town.world.ca.fault(Fault::at(kind).always().before().reset())
    };
    let dns = |town: &Town| {
        let denied = Fault::at("AddDomainRecord").always().before().answer("Forbidden.RAM", 403);
        town.world.cloud.fault(denied);
    };
    check_resumed("nothing proved", "pending", |_| {}, &dns);
    check_resumed("proved", "ready", |_| {}, &cut("finalize"));
    let lost = |town: &Town| {
        town.world.ca.fault(Fault::at("finalize").always().after().reset());
    };
    check_resumed("asked for", "processing", |rules| rules.finalize_polls = 4, &lost);
    check_resumed("issued", "valid", |rules| rules.finalize_polls = 0, &cut("certificate"));
}

/// What stands before a CA knows no words of ACME, and says nothing about an order.
#[test]
fn an_order_outlives_what_stands_before_the_ca() {
    for (kind, status) in [("unavailable", 503), ("malformed", 500), ("userActionRequired", 403)] {
        let town = Town::new(|_| {});
        town.world.ca.fault(Fault::at("finalize").always().before().reset());
        assert_eq!(town.run("renew").code, 1);
        town.world.ca.heal();
        town.world.ca.fault(Fault::at("order").always().before().answer(kind, status));
        let ended = town.run("renew");
        assert!(ended.code == 1 && ended.stderr.contains(kind), "{kind}: {}", ended.all());
        town.world.ca.heal();
        ends_well(kind, &town.run("renew example.test"));
        assert_eq!(town.cost(), [1, 1, 2, 0], "{kind}");
    }
}

/// The store was put back from a backup, say: what the CA issued is for a key that is gone.
#[test]
fn an_order_for_another_key_is_given_up() {
    let town = Town::new(|seed| ca_rules(seed, |rules| rules.finalize_polls = 0));
    town.world.ca.fault(Fault::at("certificate").always().before().reset());
    assert_eq!(town.run("renew").code, 1);
    town.world.ca.heal();
    let another = rcgen::KeyPair::generate().unwrap().serialize_pem();
    fs::write(town.store("archive/example.test/0001/privkey.pem"), another).unwrap();
    let ended = town.run("renew");
    assert!(ended.code == 1 && ended.stderr.contains("not its key's"), "{}", ended.all());
    ends_well("a new order", &town.run("renew example.test"));
    assert_eq!(town.cost()[..2], [2, 2], "the first one was issued too");
}

#[test]
fn an_order_that_lost_its_key_to_a_kill_gets_another() {
    let town = Town::new(|seed| certificate_more(seed, "key_type = \"rsa-2048\""));
    let denied = Fault::at("AddDomainRecord").always().before().answer("Forbidden.RAM", 403);
    town.world.cloud.fault(denied);
    assert_eq!(town.run("renew").code, 1);
    town.world.cloud.heal();
    remember(&town, |memory| memory["order"]["version"] = json!(0));
    fs::remove_dir_all(town.store("archive/example.test/0001")).unwrap();
    let ended = town.run("renew");
    ends_well("with another key", &ended);
    assert_eq!(town.cost(), [1, 1, 2, 0], "{}", ended.all());
}

#[test]
fn too_many_names_for_a_profile_are_told_with_the_way_out() {
    let names: Vec<String> = (0..26).map(|number| format!("n{number}.example.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let town = Town::new(|seed| {
        seed.certificates = vec![certferry_sandbox::world::Certificate::new(&names, &[])];
        certificate_more(seed, "profile = \"tlsserver\"");
    });
    let ended = town.run("renew");
    assert_eq!((ended.code, town.cost()[0]), (1, 0), "{}", ended.all());
    for word in ["26 names", "25 with its profiles", "split it"] {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.all());
    }
}

/// A CA whose certificates begin so many days before they are issued, and that says nothing about their renewal.
fn backdating(days: i64) -> Town {
    Town::new(|seed| {
        ca_rules(seed, |rules| {
            (rules.nonce_refusals, rules.ari) = (0, false);
            rules.backdated = SignedDuration::from_hours(24 * days);
        });
    })
}

#[test]
fn a_ca_that_backdates_past_the_renewal_is_asked_once() {
    let town = backdating(69);
    for row in ["from nothing", "at the next run", "and at the one after it"] {
        ends_well(row, &town.run("renew"));
        assert_eq!(town.cost(), [1, 1, 2, 0], "{row}");
    }
    let (at, reason) = renews(&town);
    let wait = at.duration_since(Timestamp::now());
    let third = SignedDuration::from_hours(7 * 24);
    assert!((third - SignedDuration::from_mins(10)..third).contains(&wait), "in {wait:#}");
    assert!(reason.contains("when it was issued"), "{reason}");
}

#[test]
fn a_certificate_that_has_ended_is_none_and_climbs_the_ladder() {
    let town = backdating(91);
    let ended = town.run("renew");
    assert_eq!(ended.code, 1, "{}", ended.all());
    assert!(ended.stderr.contains("a certificate that ended at"), "{}", ended.all());
    let again = town.run("renew");
    assert_eq!(town.cost(), [1, 1, 0, 0], "not asked again at once: {}", again.all());
    town.world.ca.rules(|rules| rules.backdated = SignedDuration::from_hours(1));
    ends_well("mended", &town.run("renew example.test"));
    assert_eq!(town.cost(), [2, 2, 2, 0]);
}
