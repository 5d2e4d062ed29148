//! CAA (RFC 8659, RFC 8657): whether a set of records lets this CA issue.

/// One CAA record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) critical: bool,
    pub(crate) tag: String,
    pub(crate) value: String,
}

/// What is to be issued, and by whom.
pub(crate) struct Wish<'a> {
    pub(crate) identities: &'a [String],
    pub(crate) wildcard: bool,
    pub(crate) account: &'a str,
    pub(crate) method: &'a str,
}

impl Wish<'_> {
    /// Whether the nearest set of records lets it be issued; an empty one lets everybody.
    pub(crate) fn is_granted(&self, properties: &[Property]) -> bool {
        let of = |tag: &str| -> Vec<&Property> {
            properties.iter().filter(|one| one.tag.eq_ignore_ascii_case(tag)).collect()
        };
        let known = ["issue", "issuewild", "iodef", "issuemail", "contactemail", "contactphone"];
        let strange = |one: &Property| !known.contains(&one.tag.to_lowercase().as_str());
        if properties.iter().any(|one| one.critical && strange(one)) {
            return false;
        }
        let (issue, wild) = (of("issue"), of("issuewild"));
        let ruling = if self.wildcard && !wild.is_empty() { wild } else { issue };
        ruling.is_empty() || ruling.iter().any(|one| self.fits(&one.value))
    }

    fn fits(&self, value: &str) -> bool {
        let mut parts = value.split(';').map(str::trim);
        let domain = parts.next().unwrap_or_default();
        if !self.identities.iter().any(|own| own.eq_ignore_ascii_case(domain)) {
            return false;
        }
        parts.filter(|part| !part.is_empty()).all(|part| {
            let Some((name, value)) = part.split_once('=') else { return false };
            match name.trim().to_lowercase().as_str() {
                "accounturi" => value.trim() == self.account,
                "validationmethods" => value.split(',').any(|method| method.trim() == self.method),
                _ => true,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn records_decide() {
        let check = |records: &[&str], plain: bool, wild: bool| {
            let read = |text: &&str| {
                let mut parts = text.splitn(3, ' ');
                let critical = parts.next() == Some("128");
                let (tag, value) = (parts.next().unwrap().to_owned(), parts.next().unwrap_or("").to_owned());
                Property { critical, tag, value }
            };
            let properties: Vec<Property> = records.iter().map(read).collect();
            for (wildcard, granted) in [(false, plain), (true, wild)] {
                let identities = ["ca.example".to_owned()];
                let wish = Wish { identities: &identities, wildcard, account: "https://ca/1", method: "dns-01" };
                assert_eq!(wish.is_granted(&properties), granted, "{records:?} {wildcard}");
            }
        };
        check(&[], true, true);
        check(&["0 iodef mailto:a@b"], true, true);
        check(&["0 issue ca.example"], true, true);
        check(&["0 issue CA.example; "], true, true);
        check(&["0 issue ;"], false, false);
        check(&["0 issue other.example"], false, false);
        check(&["0 issue other.example", "0 issue ca.example"], true, true);
        check(&["0 issue ca.example", "0 issuewild ;"], true, false);
        check(&["0 issue ;", "0 issuewild ca.example"], false, true);
        check(&["0 issuewild ;"], true, false);
        check(&["0 issue ca.example; accounturi=https://ca/1"], true, true);
        check(&["0 issue ca.example; accounturi=https://ca/2"], false, false);
        check(&["0 issue ca.example; validationmethods=http-01,dns-01"], true, true);
        check(&["0 issue ca.example;validationmethods=http-01"], false, false);
        check(&["0 issue ca.example; what"], false, false);
        check(&["0 tbs x", "0 issue ca.example"], true, true);
        check(&["128 tbs x", "0 issue ca.example"], false, false);
        check(&["128 issue ca.example"], true, true);
    }
}
