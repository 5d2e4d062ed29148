//! How each fact is judged.

use jiff::{SignedDuration, Timestamp};

use super::{Check, State};
use crate::caa::{Property, Verdict, Wish, judge, ruling_tag};
use crate::cert::Leaf;
use crate::plan::lives_on;
use crate::report::minute;

/// Who renews a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// We do.
    Ours,
    /// Another client does.
    Theirs,
}

/// A clock against this machine's: how far it is ahead.
#[must_use]
pub fn clock(of: &str, ahead: SignedDuration) -> Check {
    let off = SignedDuration::from_secs(ahead.abs().as_secs());
    let text = match (off.is_zero(), ahead.is_negative()) {
        (true, _) => "this machine's says the same".to_owned(),
        (false, true) => format!("this machine's is {off:#} ahead of it"),
        (false, false) => format!("this machine's is {off:#} behind it"),
    };
    let state = match off {
        off if off > NO_ORDER => State::Bad,
        off if off > DRIFT => State::Warning,
        _ => return Check::good("clock", of, text),
    };
    Check::new("clock", of, state, text).or_help("set the clock: timedatectl set-ntp true")
}

/// The timer, by the store's note of when `renew` last ran.
#[must_use]
pub fn timer(last: Option<Timestamp>, now: Timestamp) -> Check {
    let Some(last) = last else {
        let text = "`certferry renew` has never run with this store";
        return Check::new("timer", "", State::Warning, text).or_help(START_TIMER);
    };
    let at = minute(last);
    let age = now.duration_since(last);
    if age.is_negative() {
        let text = format!("`certferry renew` last ran at {at}, which is yet to come");
        return Check::new("timer", "", State::Warning, text).or_help("set the clock");
    }
    if age < TIMER_RUNS {
        return Check::good("timer", "", format!("`certferry renew` last ran at {at}"));
    }
    let text = format!("`certferry renew` has not run since {at}");
    Check::new("timer", "", State::Bad, text).or_help(START_TIMER)
}

/// The room for the next run. `path` is the store's, `free` bytes, `files` how many more fit.
#[must_use]
pub fn room(path: &str, exists: bool, free: u64, files: Option<u64>) -> Check {
    let state = match (free, files) {
        (_, Some(0)) => State::Bad,
        (free, _) if free < FULL => State::Bad,
        (free, _) if free < NEARLY_FULL => State::Warning,
        (_, _) => State::Good,
    };
    let what = if exists { "may be written" } else { "not there yet: the first run makes it" };
    let free = match files {
        Some(0) => "no file more fits on its file system".to_owned(),
        Some(_) | None => format!("{} free", bytes(free)),
    };
    let check = Check::new("store", path, state, format!("{what}; {free}"));
    if state == State::Good { check } else { check.or_help("free some space on its file system") }
}

/// What is on disk of a lineage: its newest leaf, and the failures on record.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// The lineage.
    pub name: &'a str,
    /// Who renews it.
    pub way: Way,
    /// The newest leaf.
    pub leaf: Option<&'a Leaf>,
    /// Why its files cannot be used.
    pub unusable: Option<&'a str>,
    /// When it is renewed, if we do it.
    pub renews: Option<Timestamp>,
    /// How often issuing has failed in a row since it was issued, as the CA counts it (0: not at its cost), and the last error.
    pub failed: Option<(u32, &'a str)>,
}

/// The certificate at hand.
#[must_use]
pub fn certificate(held: Held<'_>, now: Timestamp) -> Check {
    let check =
        |state, text: String| Check::new("certificate", held.name, state, text).of(held.name);
    if let Some(why) = held.unusable {
        return check(State::Bad, why.to_owned());
    }
    let remedy = match held.way {
        Way::Ours => "`certferry renew` obtains a new one",
        Way::Theirs => "see why its ACME client does not renew it (`certbot renew --dry-run`)",
    };
    let failed = held.failed.filter(|_| held.way == Way::Ours).map(failed);
    let is_over = |leaf: &&Leaf| leaf.not_after <= now;
    if let Some(failed) = failed.as_ref().filter(|_| !held.leaf.as_ref().is_some_and(is_over)) {
        return check(State::Warning, failed.clone())
            .or_help("`certferry renew` tries again by itself");
    }
    let Some(leaf) = held.leaf else {
        return match held.way {
            Way::Ours => check(State::Good, "none yet: the first run obtains it".to_owned()),
            Way::Theirs => check(State::Bad, "its folder holds none".to_owned()).or_help(remedy),
        };
    };
    let ends = minute(leaf.not_after);
    if leaf.not_after <= now {
        let failed = failed.map_or_else(String::new, |failed| format!("; {failed}"));
        return check(State::Bad, format!("it expired at {ends}{failed}")).or_help(remedy);
    }
    if !lives_on(leaf.not_before, leaf.not_after, now) {
        return check(State::Warning, format!("it ends at {ends}")).or_help(remedy);
    }
    match held.way {
        Way::Ours => {
            let from = held.renews.map_or_else(String::new, minute);
            check(State::Good, format!("ends {ends}, renews from {from}"))
        }
        Way::Theirs => check(State::Good, format!("ends {ends}; another client renews it")),
    }
}

fn failed((count, error): (u32, &str)) -> String {
    match count {
        0 | 1 => format!("issuing it failed: {error}"),
        _ => format!("issuing it failed, {count} in a row: {error}"),
    }
}

/// A CDN domain that could be read: what it serves, and its status in the account's list, where that may be read.
#[must_use]
pub fn serves(domain: &str, until: Option<Timestamp>, status: Option<&str>) -> Check {
    let https = match until {
        Some(at) => format!("HTTPS is on, until {}", minute(at)),
        None => "HTTPS is off".to_owned(),
    };
    match status {
        None => Check::good("target", domain, format!("may be read; {https}")),
        Some("online") => Check::good("target", domain, format!("online; {https}")),
        Some("configuring") => {
            let text = "it is being configured; uploads wait for that";
            Check::new("target", domain, State::Warning, text).or_help("wait some minutes")
        }
        Some(status) => {
            let text = format!("the CDN domain is {status}");
            Check::new("target", domain, State::Bad, text)
                .or_help("start it in the console, or take it out of the configuration")
        }
    }
}

/// The profile that a lineage asks the CA for.
#[must_use]
pub fn profile(lineage: &str, asked: &str, known: &[String]) -> Check {
    if known.iter().any(|name| name == asked) {
        return Check::good("profile", asked, "the CA has it").of(lineage);
    }
    let text = format!("{lineage} asks for it, and the CA has no such profile");
    let help = match known.is_empty() {
        true => "take `profile` out: the CA has no profiles".to_owned(),
        false => format!("the CA has {}", known.join(", ")),
    };
    Check::new("profile", asked, State::Bad, text).of(lineage).or_help(help)
}

/// The CAA records that rule a name (a wildcard with its star); `at` is where they stand.
#[must_use]
pub fn caa(name: &str, at: &str, set: &[Property], wish: &Wish<'_>) -> Check {
    let subject = name;
    let tag = ruling_tag(set, wish.wildcard);
    let help = wish
        .identities
        .first()
        .map_or_else(String::new, |ca| format!("add to the zone: {at}. CAA 0 {tag} \"{ca}\""));
    match judge(set, wish) {
        Verdict::Allowed if set.is_empty() => {
            Check::good("caa", subject, "no records: any CA may issue")
        }
        Verdict::Allowed => {
            Check::good("caa", subject, format!("the records of {at} allow the CA"))
        }
        Verdict::Unsure(why) => {
            let text = format!("the records of {at} may forbid it: {why}");
            let help = match wish.identities.is_empty() {
                true => "see in the CA's documentation by which name CAA records allow it",
                false => "`accounturi` must be our account's URL, which the first run tells",
            };
            Check::new("caa", subject, State::Unknown, text).or_help(help)
        }
        Verdict::Forbidden(why) => {
            let text = format!("the records of {at} forbid it: {why}");
            Check::new("caa", subject, State::Bad, text).or_help(help)
        }
    }
}

fn bytes(number: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fits = units.iter().find(|(size, _)| number >= *size);
    fits.map_or_else(
        || format!("{number} bytes"),
        |(size, unit)| format!("{}.{} {unit}", number / size, number % size * 10 / size),
    )
}

/// Beyond it no certificate is ordered.
const NO_ORDER: SignedDuration = SignedDuration::from_mins(10);

/// A clock that is kept by NTP is never off by so much; `Date` and the way here take some seconds.
const DRIFT: SignedDuration = SignedDuration::from_mins(1);

/// A timer that has not run for two days does not run: it is set to every hour.
const TIMER_RUNS: SignedDuration = SignedDuration::from_hours(48);

/// Bytes: a version of a lineage takes up to 60 KiB of blocks, and a run writes some for each.
const FULL: u64 = 1 << 20;

/// Bytes: a thousand versions.
const NEARLY_FULL: u64 = 64 << 20;

const START_TIMER: &str =
    "`systemctl enable --now certferry.timer`, or `certferry renew` once an hour by cron";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;
    use crate::cert::testing;

    const NOW: &str = "2026-11-24T04:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    /// A state and a part of what is said or of the remedy.
    fn says(row: &str, check: &Check, state: State, part: &str) {
        assert_eq!(check.state, state, "{row}: {check:?}");
        let text = format!("{}\n{}", check.text, check.help);
        assert!(text.contains(part), "{row}: {check:?}");
        let is_well = check.state == State::Good || check.state == State::Unknown;
        assert!(is_well || !check.help.is_empty(), "{row} has no remedy: {check:?}");
    }

    #[test]
    fn clocks() {
        let check = |seconds, state, part| {
            says(part, &clock("x", SignedDuration::from_secs(seconds)), state, part);
        };
        check(0, State::Good, "the same");
        check(60, State::Good, "1m behind it");
        check(61, State::Warning, "behind");
        check(-61, State::Warning, "1m 1s ahead of it");
        check(600, State::Warning, "10m behind it");
        check(601, State::Bad, "timedatectl");
        check(-86400, State::Bad, "24h ahead");
    }

    #[test]
    fn timers() {
        let ago = |hours| Some(now() - SignedDuration::from_hours(hours));
        let check = |row, last, state, part| says(row, &timer(last, now()), state, part);
        check("never", None, State::Warning, "never run");
        check("an hour ago", ago(1), State::Good, "last ran");
        check("two days ago", ago(48), State::Bad, "certferry.timer");
        check("tomorrow", ago(-24), State::Warning, "yet to come");
    }

    #[test]
    fn rooms() {
        let check = |row, exists, free, files, state, part| {
            says(row, &room("/s", exists, free, files), state, part);
        };
        check("much", true, 5 << 30, Some(1), State::Good, "may be written; 5.0 GiB free");
        check("not there", false, 5 << 30, None, State::Good, "first run makes it");
        check("little", true, (63 << 20) + (1 << 19), Some(9), State::Warning, "63.5 MiB");
        check("nothing", true, 0, Some(9), State::Bad, "0 bytes free");
        check("no inode", true, 5 << 30, Some(0), State::Bad, "no file more fits");
    }

    #[test]
    fn certificates() {
        let made = testing::Make::new(&["a.test"]).cert();
        let leaf = |days: i64| {
            let mut leaf = made.leaf().clone();
            leaf.not_after = now() + SignedDuration::from_hours(24 * days);
            leaf.not_before = leaf.not_after - SignedDuration::from_hours(24 * 90);
            leaf
        };
        let check = |row, held: Held<'_>, state, part| {
            says(row, &certificate(held, now()), state, part);
        };
        let ours = Held {
            name: "a",
            way: Way::Ours,
            leaf: None,
            unusable: None,
            renews: Some(now()),
            failed: None,
        };
        let theirs = Held { way: Way::Theirs, ..ours };
        let (fresh, late, over) = (leaf(80), leaf(6), leaf(-1));
        check("none of ours", ours, State::Good, "first run");
        check("none of theirs", theirs, State::Bad, "holds none");
        check("ours", Held { leaf: Some(&fresh), ..ours }, State::Good, "renews from 2026-11-24");
        check("theirs", Held { leaf: Some(&fresh), ..theirs }, State::Good, "another client");
        check("late", Held { leaf: Some(&late), ..theirs }, State::Warning, "certbot renew");
        check("over", Held { leaf: Some(&over), ..ours }, State::Bad, "expired at");
        let unusable = Held { unusable: Some("no key\nhelp: see"), ..theirs };
        check("unusable", unusable, State::Bad, "no key");
        let failed = Held { failed: Some((3, "no DNS")), leaf: Some(&fresh), ..ours };
        check("failed", failed, State::Warning, "3 in a row: no DNS");
        let once = Held { failed: Some((0, "no DNS")), ..failed };
        check("at no cost", once, State::Warning, "issuing it failed: no DNS");
        let late = Held { leaf: Some(&over), ..failed };
        check(
            "failed for too long",
            late,
            State::Bad,
            "2026-11-23 04:00 UTC; issuing it failed, 3",
        );
    }

    #[test]
    fn targets() {
        let check = |row, status, state, part| says(row, &serves("d", None, status), state, part);
        check("not listed", None, State::Good, "may be read; HTTPS is off");
        check("online", Some("online"), State::Good, "online");
        check("configuring", Some("configuring"), State::Warning, "wait");
        check("offline", Some("offline"), State::Bad, "is offline");
        let on = serves("d", Some(now()), Some("online"));
        says("on", &on, State::Good, "until 2026-11-24");
    }

    #[test]
    fn profiles() {
        let known = ["classic".to_owned(), "shortlived".to_owned()];
        says("known", &profile("a", "classic", &known), State::Good, "has it");
        says("a slip", &profile("a", "clasic", &known), State::Bad, "classic, shortlived");
        says("none at all", &profile("a", "classic", &[]), State::Bad, "no profiles");
    }

    #[test]
    fn caa_records() {
        let identities = ["ca.example".to_owned()];
        let issue = |value: &str| {
            vec![Property { critical: false, tag: "issue".to_owned(), value: value.to_owned() }]
        };
        let check = |row, set: Vec<Property>, state, part| {
            let (account, wildcard, method) = (None, true, "dns-01");
            let wish = Wish { identities: &identities, account, wildcard, method };
            says(row, &caa("*.a.test", "a.test", &set, &wish), state, part);
        };
        check("none", Vec::new(), State::Good, "any CA");
        check("ours", issue("ca.example"), State::Good, "allow");
        check("another's", issue("b"), State::Bad, "a.test. CAA 0 issue \"ca.example\"");
        check("an account", issue("ca.example; accounturi=x"), State::Unknown, "none yet");
    }
}
