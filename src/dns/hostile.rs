//! Any bytes as a DNS server's message, and as the answer of a service by HTTPS.

use std::collections::BTreeSet;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::{ask, caa, doh, rfc2136, show, wire};
use crate::caa::{Wish, judge};
use crate::hostile::assert_tame;
use crate::http::Answer;

/// A message as it comes from the wire, and the same as the body of an answer.
pub(crate) fn message(bytes: &[u8]) {
    if let Ok(message) = wire::decode(bytes) {
        read(&message);
    }
    let kind = HeaderValue::from_static("application/dns-message");
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind)]);
    let answer = Answer { status: 200, headers, body: bytes.to_vec() };
    let _refused = doh::read(&answer);
}

fn read(message: &Message) {
    let Ok(name) = Name::from_ascii("_acme-challenge.example.test.") else { return };
    let _refusal = rfc2136::refusal(message);
    let _zone = ask::soa_owner(message, &name);
    let _lives = show::lives(message);
    let _same =
        wire::same_question(message, &wire::question(&name, RecordType::TXT, wire::Recursion::Off));
    let properties = caa::properties(message);
    let wish = Wish { identities: &[], wildcard: false, account: None, method: "dns-01" };
    let _verdict = judge(&properties, &wish);
    let mut seen = BTreeSet::new();
    for record in &message.answers {
        seen.extend(show::text(&record.data));
        if let Some(target) = ask::cname_of(record, &record.name).or_else(|| ask::ns_target(record))
        {
            assert_tame(&ask::plain(&target));
        }
    }
}
