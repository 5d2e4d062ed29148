//! Answers that are signed because their questions were (RFC 8945 section 5.3).

use std::sync::{Arc, Mutex};

use hickory_server::net::NetError;
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::{Message, Metadata, ResponseCode};
use hickory_server::proto::rr::Record;
use hickory_server::proto::serialize::binary::BinEncoder;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{Catalog, MessageResponse, MessageResponseBuilder};

use super::Voice;
use super::tsig::{self, Verdict};

/// Room for the TSIG record in an answer by UDP: the longest MAC, two names, and what stands between.
const TSIG_ROOM: u16 = 180;

/// Keeps an answer in place of sending it.
#[derive(Clone)]
struct Kept {
    most: u16,
    bytes: Arc<Mutex<Vec<u8>>>,
}

#[async_trait::async_trait]
impl ResponseHandler for Kept {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let mut bytes = Vec::new();
        let mut encoder = BinEncoder::new(&mut bytes);
        encoder.set_max_size(self.most);
        let sent = response.destructive_emit(&mut encoder)?;
        *self.bytes.lock().expect("an answer") = bytes;
        Ok(sent)
    }
}

impl Voice {
    /// Answers a signed question.
    pub(super) async fn answer_signed<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        catalog: &Catalog,
        record: &Record<hickory_server::proto::rr::rdata::TSIG>,
        reply: R,
    ) -> Option<ResponseInfo> {
        let keys = self.shared.keys.lock().expect("keys").clone();
        let verdict = tsig::judge(&keys, record, request.as_slice(), tsig::now());
        if verdict.error.is_some() {
            return send(request, &refusal(request, ResponseCode::NotAuth), &verdict, reply).await;
        }
        let udp = request.protocol() == super::Protocol::Udp;
        let most = if udp { request.max_payload().saturating_sub(TSIG_ROOM) } else { u16::MAX };
        let kept = Kept { most, bytes: Arc::default() };
        catalog.handle_request::<Kept, T>(request, kept.clone()).await;
        let bytes = kept.bytes.lock().expect("an answer").clone();
        send(request, &Message::from_vec(&bytes).ok()?, &verdict, reply).await
    }
}

/// An answer of nothing but a code.
pub(super) fn refusal(request: &Request, code: ResponseCode) -> Message {
    let mut metadata = Metadata::response_from_request(&request.metadata);
    metadata.response_code = code;
    let mut message = Message::new(metadata.id, metadata.message_type, metadata.op_code);
    message.metadata = metadata;
    message
}

/// Signs an answer as the verdict has it, and sends it.
pub(super) async fn send<R: ResponseHandler>(
    request: &Request,
    answer: &Message,
    verdict: &Verdict,
    mut reply: R,
) -> Option<ResponseInfo> {
    let build = || {
        let builder = MessageResponseBuilder::new(&request.queries, answer.edns.as_ref());
        let (more, rest) = (&answer.authorities, &answer.additionals);
        builder.build(answer.metadata, &answer.answers, more, [], rest)
    };
    let mut bytes = Vec::new();
    build().destructive_emit(&mut BinEncoder::new(&mut bytes)).ok()?;
    let mut signed = build();
    signed.set_signature(verdict.sign(&bytes, tsig::now()));
    reply.send_response(signed).await.ok()
}
