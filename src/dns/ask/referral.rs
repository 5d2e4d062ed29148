//! A referral (RFC 1034, 4.3.2): what a server says of a zone that it gave away to other servers.

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};

/// The zone that begins at or above `name` and that the server gave away; it would take an update of it that nobody
/// ever sees. NS records beside an answer are the zone's own, and those of the root say that it knows nothing.
pub(super) fn zone(answer: &Message, name: &Name) -> Option<Name> {
    if !answer.answers.is_empty() {
        return None;
    }
    let mut servers =
        answer.authorities.iter().filter(|record| record.record_type() == RecordType::NS);
    let cut = servers.find(|record| record.name.zone_of(name) && !record.name.is_root())?;
    Some(cut.name.clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use hickory_proto::rr::rdata::{NS, TXT};
    use hickory_proto::rr::{RData, Record};

    use super::*;

    const NAME: &str = "_acme-challenge.www.example.test.";

    fn record(name: &str, data: RData) -> Record {
        Record::from_rdata(Name::from_ascii(name).unwrap(), 60, data)
    }

    fn check(row: &str, given: &str, answer: Option<Record>, wanted: Option<&str>) {
        let mut message = Message::query();
        let server = Name::from_ascii("ns.other.test.").unwrap();
        message.add_authority(record(given, RData::NS(NS(server))));
        message.add_answers(answer);
        let found = zone(&message, &Name::from_ascii(NAME).unwrap());
        assert_eq!(found.map(|zone| zone.to_string()).as_deref(), wanted, "{row}");
    }

    #[test]
    fn zones_that_were_given_away() {
        let answer = record(NAME, RData::TXT(TXT::new(vec!["value".to_owned()])));
        check("the name itself", NAME, None, Some(NAME));
        check("above it", "www.example.test.", None, Some("www.example.test."));
        check("beside it", "other.test.", None, None);
        check("the root", ".", None, None);
        check("the zone's own servers", "example.test.", Some(answer), None);
    }
}
