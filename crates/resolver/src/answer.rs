//! What is answered from memory: pure.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::names::Names;
use crate::protocol::Member;

/// As Docker. Programs that keep an address so long are served by containers that keep theirs.
const TTL: u32 = 600;
/// What a client takes over UDP that does not say more.
const UDP_BYTES: usize = 512;
/// What is taken over UDP here: it fits into one packet everywhere.
const OWN_UDP_BYTES: u16 = 1232;

/// A question that was understood.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) message: Message,
    pub(crate) query: Query,
}

impl Question {
    /// # Errors
    ///
    /// What to say to one that cannot be answered; nothing, to what is no question.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Option<Vec<u8>>> {
        // Whoever answers answers is in a circle for ever.
        if bytes.len() < 12 || bytes[2] & 0x80 != 0 {
            return Err(None);
        }
        let Ok(message) = Message::from_vec(bytes) else {
            let id = u16::from_be_bytes([bytes[0], bytes[1]]);
            return Err(Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok());
        };
        let refused =
            |code| Err(Message::error_msg(message.metadata.id, message.metadata.op_code, code).to_vec().ok());
        match &message.queries[..] {
            _ if message.metadata.op_code != OpCode::Query => refused(ResponseCode::NotImp),
            [query] => Ok(Self { query: query.clone(), message }),
            _ => refused(ResponseCode::FormErr),
        }
    }

    /// Without a final dot.
    pub(crate) fn name(&self) -> String {
        let name = self.query.name().to_utf8();
        name.strip_suffix('.').map(str::to_owned).unwrap_or(name)
    }

    pub(crate) fn asks_for_an_address(&self) -> bool {
        matches!(self.query.query_type(), RecordType::A | RecordType::AAAA)
    }

    /// How many bytes the client takes.
    pub(crate) fn bytes_max(&self, tcp: bool) -> usize {
        match &self.message.edns {
            _ if tcp => usize::from(u16::MAX),
            Some(edns) => UDP_BYTES.max(edns.max_payload().into()),
            None => UDP_BYTES,
        }
    }

    /// An answer without anything in it.
    pub(crate) fn reply(&self, code: ResponseCode) -> Message {
        let mut reply = Message::response(self.message.metadata.id, OpCode::Query);
        reply.metadata.message_type = MessageType::Response;
        reply.metadata.recursion_desired = self.message.metadata.recursion_desired;
        reply.metadata.checking_disabled = self.message.metadata.checking_disabled;
        reply.metadata.recursion_available = true;
        reply.metadata.response_code = code;
        reply.add_query(self.query.clone());
        if self.message.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(OWN_UDP_BYTES);
            reply.set_edns(edns);
        }
        reply
    }

    /// The answer, if the containers have it.
    pub(crate) fn answer(&self, names: &Names, asker: &Member) -> Option<Message> {
        if self.query.query_class() != DNSClass::IN {
            return None;
        }
        let kind = self.query.query_type();
        if kind == RecordType::PTR {
            let host = names.find_address(asker, address(self.query.name())?)?;
            let host = Name::from_utf8(format!("{host}.")).ok()?;
            return Some(self.with(vec![RData::PTR(PTR(host))]));
        }
        // Mail to a name without an MX record goes to its address; of other kinds there are none.
        if !matches!(kind, RecordType::A | RecordType::AAAA | RecordType::MX) {
            return None;
        }
        let found = names.find(asker, &self.name())?;
        let mut data: Vec<RData> = match kind {
            RecordType::A => found.ipv4.into_iter().map(|ip| RData::A(A(ip))).collect(),
            RecordType::AAAA => found.ipv6.into_iter().map(|ip| RData::AAAA(AAAA(ip))).collect(),
            _ => Vec::new(),
        };
        shuffle(&mut data);
        Some(self.with(data))
    }

    fn with(&self, data: Vec<RData>) -> Message {
        let mut reply = self.reply(ResponseCode::NoError);
        let record = |data| Record::from_rdata(self.query.name().clone(), TTL, data);
        reply.add_answers(data.into_iter().map(record));
        reply
    }
}

/// As bytes, cut where it is too long: the client asks again over TCP.
pub(crate) fn write(mut message: Message, bytes_max: usize) -> Option<Vec<u8>> {
    loop {
        let bytes = message.to_vec().ok()?;
        if bytes.len() <= bytes_max {
            return Some(bytes);
        }
        message.metadata.truncation = true;
        if message.answers.is_empty() && message.authorities.is_empty() && message.additionals.is_empty() {
            return None;
        }
        message.additionals.clear();
        message.authorities.clear();
        // In a few steps, whatever the length.
        let fitting = message.answers.len() * bytes_max / bytes.len();
        message.answers.truncate(fitting.min(message.answers.len().saturating_sub(1)));
    }
}

/// The address in a name of a PTR question.
fn address(name: &Name) -> Option<std::net::IpAddr> {
    let net = name.parse_arpa_name().ok()?;
    (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
}

/// So that clients spread over those that share a name.
fn shuffle<T>(all: &mut [T]) {
    for i in (1..all.len()).rev() {
        all.swap(i, usize::from(random_u16()) % (i + 1));
    }
}

/// From the kernel: ids of questions are not to be guessed.
pub(crate) fn random_u16() -> u16 {
    let mut bytes = [0u8; 2];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(_) => u16::from_ne_bytes(bytes),
        // Only a kernel older than those this runs on has none.
        Err(_) => std::process::abort(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Place;

    fn ask(name: &str, kind: RecordType) -> Question {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_utf8(name).unwrap(), kind));
        Question::read(&message.to_vec().unwrap()).unwrap()
    }

    fn names(count: u8) -> Names {
        let mut names = Names::default();
        for last in 1..=count {
            let place = Place {
                network: "n".into(),
                network_name: "net".into(),
                ipv4: Some([10, 0, 0, last].into()),
                ipv6: None,
                names: vec![format!("c{last}"), "all".into()],
            };
            names.put(Member { id: format!("{last}"), places: vec![place], ..Member::default() });
        }
        names
    }

    #[test]
    fn questions_about_containers() {
        let names = names(2);
        let asker = names.member("1").unwrap();
        let said = |name: &str, kind| {
            let reply = ask(name, kind).answer(&names, asker)?;
            Some(reply.answers.iter().map(|record| record.data.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(said("C2.", RecordType::A), Some(vec!["10.0.0.2".into()]));
        assert_eq!(said("c2.net.", RecordType::A), Some(vec!["10.0.0.2".into()]));
        assert_eq!(said("c2.", RecordType::AAAA), Some(vec![]), "known, without such an address");
        assert_eq!(said("c2.", RecordType::MX), Some(vec![]));
        assert_eq!(said("c2.", RecordType::TXT), None);
        assert_eq!(said("c3.", RecordType::A), None);
        assert_eq!(said("2.0.0.10.in-addr.arpa.", RecordType::PTR), Some(vec!["c2.net.".into()]));
        assert_eq!(said("0.0.10.in-addr.arpa.", RecordType::PTR), None);
        assert_eq!(said("2.0.0.11.in-addr.arpa.", RecordType::PTR), None);
    }

    #[test]
    fn those_that_share_a_name_take_turns() {
        let names = names(3);
        let asker = names.member("1").unwrap();
        let first = || ask("all.", RecordType::A).answer(&names, asker).unwrap().answers[0].data.to_string();
        let seen: std::collections::HashSet<_> = (0..200).map(|_| first()).collect();
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let names = names(250);
        let asker = names.member("1").unwrap();
        let question = ask("all.", RecordType::A);
        let whole = question.answer(&names, asker).unwrap();
        let cut = write(whole.clone(), question.bytes_max(false)).unwrap();
        assert!(cut.len() <= 512);
        let cut = Message::from_vec(&cut).unwrap();
        assert!(cut.metadata.truncation && cut.answers.len() > 10, "{}", cut.answers.len());
        let whole = Message::from_vec(&write(whole, question.bytes_max(true)).unwrap()).unwrap();
        assert!(!whole.metadata.truncation && whole.answers.len() == 250);
    }

    #[test]
    fn what_is_no_question_is_not_answered() {
        assert_eq!(Question::read(b"short").unwrap_err(), None);
        let answer = Message::response(7, OpCode::Query).to_vec().unwrap();
        assert_eq!(Question::read(&answer).unwrap_err(), None);
        let code = |bytes: &[u8]| {
            let reply = Message::from_vec(&Question::read(bytes).unwrap_err().unwrap()).unwrap();
            (reply.metadata.id, reply.metadata.response_code)
        };
        let mut broken = ask("a.", RecordType::A).message.to_vec().unwrap();
        let id = u16::from_be_bytes([broken[0], broken[1]]);
        broken.truncate(14);
        assert_eq!(code(&broken), (id, ResponseCode::FormErr));
        let mut update = Message::new(9, MessageType::Query, OpCode::Update);
        update.add_query(Query::query(Name::from_utf8("a.").unwrap(), RecordType::SOA));
        assert_eq!(code(&update.to_vec().unwrap()), (9, ResponseCode::NotImp));
        assert_eq!(
            code(&Message::new(9, MessageType::Query, OpCode::Query).to_vec().unwrap()).1,
            ResponseCode::FormErr
        );
    }
}
