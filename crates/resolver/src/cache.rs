//! Answers of others, for as long as they say.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};

use crate::answer::Question;

/// Small: it is for the burst of the same questions that programs ask, not for the day.
const ANSWERS_MAX: usize = 1000;
const TTL_MAX: u32 = 300;
/// That there is no such name may be wrong soon: somebody is just making it.
const TTL_MAX_NEGATIVE: u32 = 30;

/// What has to be the same for an answer to be the same. Who asks other servers may be told other things.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    servers: Vec<SocketAddr>,
    /// The namespace that they are asked from: a container's, or the host's.
    from: Option<String>,
    name: String,
    kind: u16,
    class: u16,
    flags: [bool; 4],
}

impl Key {
    pub(crate) fn of(question: &Question, servers: Vec<SocketAddr>, from: Option<String>) -> Self {
        let Question { message, query } = question;
        let edns = message.edns.as_ref();
        Self {
            servers,
            from,
            name: query.name().to_lowercase().to_ascii(),
            kind: query.query_type().into(),
            class: query.query_class().into(),
            flags: [
                message.metadata.recursion_desired,
                message.metadata.checking_disabled,
                edns.is_some(),
                edns.is_some_and(|edns| edns.flags().dnssec_ok),
            ],
        }
    }
}

#[derive(Debug)]
struct Kept {
    message: Message,
    since: Instant,
    for_seconds: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Cache(HashMap<Key, Kept>);

impl Cache {
    /// With the time that is left, as an answer to this question.
    pub(crate) fn find(&self, key: &Key, question: &Question, now: Instant) -> Option<Message> {
        let kept = self.0.get(key)?;
        let age = u32::try_from(now.duration_since(kept.since).as_secs()).ok()?;
        if age >= kept.for_seconds {
            return None;
        }
        let mut message = kept.message.clone();
        message.metadata.id = question.message.metadata.id;
        // Spelled as it was asked.
        message.queries = vec![question.query.clone()];
        for record in
            message.answers.iter_mut().chain(&mut message.authorities).chain(&mut message.additionals)
        {
            record.ttl = record.ttl.saturating_sub(age);
        }
        Some(message)
    }

    pub(crate) fn keep(&mut self, key: Key, message: &Message, now: Instant) {
        let Some(for_seconds) = seconds(message).filter(|seconds| *seconds > 0) else { return };
        if self.0.len() >= ANSWERS_MAX {
            let lives =
                |kept: &Kept| now.duration_since(kept.since) < Duration::from_secs(kept.for_seconds.into());
            self.0.retain(|_, kept| lives(kept));
            if self.0.len() >= ANSWERS_MAX {
                self.0.clear();
            }
        }
        self.0.insert(key, Kept { message: message.clone(), since: now, for_seconds });
    }
}

/// How long an answer holds. `None`: it is not one to be kept.
fn seconds(message: &Message) -> Option<u32> {
    if message.metadata.truncation {
        return None;
    }
    let least = message.answers.iter().map(|record| record.ttl).min();
    match (message.metadata.response_code, least) {
        (ResponseCode::NoError, Some(least)) => Some(least.min(TTL_MAX)),
        (ResponseCode::NoError | ResponseCode::NXDomain, _) => {
            // RFC 2308: by the zone's SOA, and not at all without one.
            message.authorities.iter().find_map(|record| match &record.data {
                RData::SOA(soa) if record.record_type() == RecordType::SOA => {
                    Some(record.ttl.min(soa.minimum).min(TTL_MAX_NEGATIVE))
                }
                _ => None,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::Query;
    use hickory_proto::rr::rdata::{A, SOA};
    use hickory_proto::rr::{Name, Record};

    fn question(name: &str) -> Question {
        let mut message = Message::query();
        message.add_query(Query::query(Name::from_utf8(name).unwrap(), RecordType::A));
        Question::read(&message.to_vec().unwrap()).unwrap()
    }

    #[test]
    fn an_answer_grows_old() {
        let (mut cache, asked) = (Cache::default(), question("a.b."));
        let key = Key::of(&asked, vec![], None);
        let mut reply = asked.reply(ResponseCode::NoError);
        let record =
            |ttl| Record::from_rdata(asked.query.name().clone(), ttl, RData::A(A([1, 2, 3, 4].into())));
        reply.add_answers([record(90), record(60)]);
        let start = Instant::now();
        cache.keep(key, &reply, start);
        let again = question("A.b.");
        let key = Key::of(&again, vec![], None);
        let after = |seconds| cache.find(&key, &again, start + Duration::from_secs(seconds));
        let found = after(59).unwrap();
        assert_eq!((found.metadata.id, &found.queries[0]), (again.message.metadata.id, &again.query));
        assert_eq!(found.answers.iter().map(|record| record.ttl).collect::<Vec<_>>(), [31, 1]);
        assert!(after(60).is_none());
        assert!(cache.find(&Key::of(&again, vec![([9, 9, 9, 9], 53).into()], None), &again, start).is_none());
    }

    #[test]
    fn that_there_is_nothing_is_kept_as_its_zone_says() {
        let asked = question("a.b.");
        let mut reply = asked.reply(ResponseCode::NXDomain);
        assert_eq!(seconds(&reply), None);
        let zone = Name::from_utf8("b.").unwrap();
        let soa = SOA::new(zone.clone(), zone.clone(), 1, 2, 3, 4, 20);
        reply.add_authority(Record::from_rdata(zone, 3600, RData::SOA(soa)));
        assert_eq!(seconds(&reply), Some(20));
        reply.metadata.response_code = ResponseCode::ServFail;
        assert_eq!(seconds(&reply), None);
    }
}
