//! CAA: may this CA issue for this name, proved as we prove it? RFC 8659, with the parameters of RFC 8657. Pure.

/// One CAA record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// A CA that does not know the tag must not issue.
    pub critical: bool,
    /// `issue`, `issuewild`, `iodef`...
    pub tag: String,
    /// As it stands there.
    pub value: String,
}

/// Who wants to issue what.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// By which names the CA is allowed (`meta.caaIdentities`, RFC 8555, 7.1.1). Empty: it does not tell.
    pub identities: &'a [String],
    /// The account's URL; none before it is registered.
    pub account: Option<&'a str>,
    /// For a wildcard name.
    pub wildcard: bool,
    /// How the name is proved, as RFC 8657 calls it: `dns-01`.
    pub method: &'a str,
}

/// What the records say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Allowed,
    /// It hangs on what is not known yet; on what.
    Unsure(String),
    /// It may not; why.
    Forbidden(String),
}

/// Judges by the set of records that is nearest to the name; an empty one allows everybody.
#[must_use]
pub fn judge(set: &[Property], wish: &Wish<'_>) -> Verdict {
    let is_strange = |one: &&Property| one.critical && !KNOWN.iter().any(|tag| one.is(tag));
    if let Some(strange) = set.iter().find(is_strange) {
        let what = format!("`{}` is critical there, and no CA knows it", strange.tag);
        return Verdict::Forbidden(what);
    }
    let ruling = ruling(set, wish.wildcard);
    if ruling.is_empty() {
        return Verdict::Allowed;
    }
    let values: Vec<Value<'_>> =
        ruling.iter().filter_map(|property| Value::read(&property.value)).collect();
    if wish.identities.is_empty() {
        let named = named(&values);
        return Verdict::Unsure(format!(
            "it names {named}, and the CA does not tell its own names"
        ));
    }
    let is_ours = |value: &&Value<'_>| value.names_one_of(wish.identities);
    let verdicts: Vec<Verdict> =
        values.iter().filter(is_ours).map(|value| value.judge(wish)).collect();
    let allowed = verdicts.iter().find(|verdict| **verdict == Verdict::Allowed);
    let unsure = || verdicts.iter().find(|verdict| matches!(verdict, Verdict::Unsure(_)));
    allowed.or_else(unsure).or_else(|| verdicts.first()).cloned().unwrap_or_else(|| {
        Verdict::Forbidden(format!(
            "it names {}, not {}",
            named(&values),
            wish.identities.join(" or ")
        ))
    })
}

/// The tag by which a CA is allowed: where there are `issuewild`, they alone count for a wildcard.
#[must_use]
pub fn ruling_tag(set: &[Property], wildcard: bool) -> &'static str {
    let has_wild = set.iter().any(|property| property.is("issuewild"));
    if wildcard && has_wild { "issuewild" } else { "issue" }
}

fn ruling(set: &[Property], wildcard: bool) -> Vec<&Property> {
    let tag = ruling_tag(set, wildcard);
    set.iter().filter(|property| property.is(tag)).collect()
}

fn named(values: &[Value<'_>]) -> String {
    let domains: Vec<&str> =
        values.iter().map(|value| value.issuer).filter(|issuer| !issuer.is_empty()).collect();
    if domains.is_empty() { "nobody".to_owned() } else { domains.join(", ") }
}

impl Property {
    fn is(&self, tag: &str) -> bool {
        self.tag.eq_ignore_ascii_case(tag)
    }
}

/// The value of `issue` or `issuewild`: an issuer's name, or none, and parameters.
struct Value<'a> {
    issuer: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Value<'a> {
    /// None where it is not of the grammar (RFC 8659, 4.2): such a record allows nobody.
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(|part| part.trim_matches([' ', '\t']));
        let issuer = parts.next().unwrap_or_default();
        let parameters = parts.filter(|part| !part.is_empty()).map(|part| {
            let (tag, value) = part.split_once('=')?;
            Some((tag.trim_end_matches([' ', '\t']), value.trim_start_matches([' ', '\t'])))
        });
        Some(Self { issuer, parameters: parameters.collect::<Option<_>>()? })
    }

    fn names_one_of(&self, identities: &[String]) -> bool {
        identities.iter().any(|identity| identity.eq_ignore_ascii_case(self.issuer))
    }

    /// What its parameters leave of it.
    fn judge(&self, wish: &Wish<'_>) -> Verdict {
        let methods = self.all("validationmethods");
        let proves = |list: &str| list.split(',').any(|method| method.trim() == wish.method);
        match methods.as_slice() {
            [] => {}
            [list] if proves(list) => {}
            [list] => {
                return Verdict::Forbidden(format!(
                    "it takes {list} of {}, and we prove by {}",
                    self.issuer, wish.method
                ));
            }
            [..] => return self.unsatisfiable("validationmethods"),
        }
        match (self.all("accounturi").as_slice(), wish.account) {
            ([], _) => Verdict::Allowed,
            ([one], Some(own)) if *one == own => Verdict::Allowed,
            ([one], Some(own)) => {
                Verdict::Forbidden(format!("it is for the account {one}, ours is {own}"))
            }
            ([one], None) => {
                Verdict::Unsure(format!("it is for the account {one}, and we have none yet"))
            }
            ([..], _) => self.unsatisfiable("accounturi"),
        }
    }

    /// The values of a parameter.
    fn all(&self, tag: &str) -> Vec<&'a str> {
        let of_tag = |(known, _): &&(&str, &str)| known.eq_ignore_ascii_case(tag);
        self.parameters.iter().filter(of_tag).map(|(_, value)| *value).collect()
    }

    fn unsatisfiable(&self, tag: &str) -> Verdict {
        Verdict::Forbidden(format!(
            "it has `{tag}` twice for {}, which nobody can meet",
            self.issuer
        ))
    }
}

/// Tags that CAs know: RFC 8659, and `issuemail` (RFC 9495).
const KNOWN: [&str; 4] = ["issue", "issuewild", "iodef", "issuemail"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    const OURS: &str = "https://ca.example/acct/1";

    /// A record as a zone file has it: flags, tag, value.
    fn property(text: &&str) -> Property {
        let mut parts = text.splitn(3, ' ');
        let critical = parts.next().unwrap().parse::<u8>().unwrap() >= 128;
        let tag = parts.next().unwrap().to_owned();
        Property { critical, tag, value: parts.next().unwrap_or_default().to_owned() }
    }

    /// The verdicts for a plain name and for a wildcard: `yes`, or `?` or `no` and a part of its reason.
    fn check(row: &str, records: &[&str], wanted: [&str; 2]) {
        check_of(row, records, &["ca.example"], Some(OURS), wanted);
    }

    fn check_of(
        row: &str,
        records: &[&str],
        names: &[&str],
        account: Option<&str>,
        wanted: [&str; 2],
    ) {
        let set: Vec<Property> = records.iter().map(property).collect();
        let identities: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        for (wildcard, wanted) in [(false, wanted[0]), (true, wanted[1])] {
            let verdict =
                judge(&set, &Wish { identities: &identities, account, wildcard, method: "dns-01" });
            let (word, reason) = match &verdict {
                Verdict::Allowed => ("yes", ""),
                Verdict::Unsure(why) => ("?", why.as_str()),
                Verdict::Forbidden(why) => ("no", why.as_str()),
            };
            let (wanted_word, part) = wanted.split_once(' ').unwrap_or((wanted, ""));
            assert_eq!(word, wanted_word, "{row}, wildcard {wildcard}: {verdict:?}");
            assert!(reason.contains(part), "{row}, wildcard {wildcard}: {verdict:?}");
        }
    }

    fn both(verdict: &str) -> [&str; 2] {
        [verdict, verdict]
    }

    #[test]
    fn issuers() {
        check("no records", &[], both("yes"));
        check("a mail address alone", &["0 iodef mailto:a@b"], both("yes"));
        check("ours", &["0 issue ca.example"], both("yes"));
        check("in capitals", &["0 ISSUE CA.Example"], both("yes"));
        check("spaces, and nothing after the semicolon", &["0 issue  ca.example ; "], both("yes"));
        check("nobody", &["0 issue ;"], both("no nobody"));
        check("nobody, written short", &["0 issue "], both("no nobody"));
        check("another", &["0 issue other.example"], both("no other.example, not ca.example"));
        check("another's parent", &["0 issue example"], both("no example"));
        check("two", &["0 issue other.example", "0 issue ca.example"], both("yes"));
        check("no wildcards", &["0 issue ca.example", "0 issuewild ;"], ["yes", "no nobody"]);
        check("wildcards alone", &["0 issue ;", "0 issuewild ca.example"], ["no nobody", "yes"]);
        check("only wildcards are ruled", &["0 issuewild other.example"], ["yes", "no other"]);
        check_of("a CA of two names", &["0 issue b"], &["a", "b"], None, both("yes"));
        check_of("a silent CA", &["0 issue b"], &[], None, both("? does not tell"));
        check_of("a silent CA, no rule", &["0 iodef x"], &[], None, both("yes"));
    }

    #[test]
    fn tags_and_grammar() {
        check("a strange tag", &["0 tbs x", "0 issue ca.example"], both("yes"));
        check("a critical strange one", &["128 tbs x", "0 issue ca.example"], both("no `tbs`"));
        check("a critical known one", &["128 issue ca.example"], both("yes"));
        check("a parameter that is none", &["0 issue ca.example; what"], both("no"));
        check(
            "beside one that is",
            &["0 issue ca.example; what", "0 issue ca.example"],
            both("yes"),
        );
        check("a parameter of another kind", &["0 issue ca.example; x=1"], both("yes"));
        check("mail alone is ruled", &["0 issuemail ;"], both("yes"));
    }

    #[test]
    fn methods() {
        let identities = ["ca.example".to_owned()];
        let check = |methods: &str, method, wanted| {
            let record = format!("0 issue ca.example; validationmethods={methods}");
            let set = [property(&record.as_str())];
            let wish = Wish { identities: &identities, account: None, wildcard: false, method };
            assert_eq!(judge(&set, &wish) == Verdict::Allowed, wanted, "{methods}, {method}");
        };
        check("dns-01", "dns-01", true);
        check("dns-01", "dns-persist-01", false);
        check("dns-01,dns-persist-01", "dns-persist-01", true);
    }

    #[test]
    fn parameters() {
        let with = |parameters: &str| format!("0 issue ca.example; {parameters}");
        let check_one = |row: &str, parameters: &str, wanted: &str| {
            check(row, &[&with(parameters)], both(wanted));
        };
        check_one("our account", &format!("accounturi={OURS}"), "yes");
        check_one("spaces around it", &format!("AccountURI = {OURS}"), "yes");
        check_one("another account", "accounturi=https://ca.example/acct/2", "no acct/2, ours");
        check_one("two accounts", &format!("accounturi={OURS}; accounturi={OURS}"), "no twice");
        check_one("our way", "validationmethods=dns-01", "yes");
        check_one("among others", "validationmethods=http-01,dns-01", "yes");
        check_one("another way", "validationmethods=http-01", "no http-01");
        check_one("no way", "validationmethods=", "no prove by dns-01");
        check_one("twice", "validationmethods=dns-01; validationmethods=dns-01", "no twice");
        check_one("both", &format!("validationmethods=dns-01;accounturi={OURS}"), "yes");
        let other = "0 issue ca.example; accounturi=https://ca.example/acct/2";
        check("another account beside ours", &[other, "0 issue ca.example"], both("yes"));
        check_of("no account yet", &[other], &["ca.example"], None, both("? none yet"));
    }
}
