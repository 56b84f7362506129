//! Against servers on the loopback that are dead, slow, lying, or say too much.

use std::net::Ipv4Addr;

use hickory_proto::op::OpCode;
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use super::*;

type Says = fn(Message) -> Vec<Vec<u8>>;

/// A server at 127.0.0.`last`; what it says to a question, packet by packet.
async fn server(last: u8, port: u16, says: Says) -> u16 {
    let udp = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, last), port)).await.unwrap();
    let port = udp.local_addr().unwrap().port();
    tokio::task::spawn_local(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, client) = udp.recv_from(&mut buffer).await.unwrap();
            for packet in says(Message::from_vec(&buffer[..length]).unwrap()) {
                udp.send_to(&packet, client).await.unwrap();
            }
        }
    });
    port
}

fn answer(query: &Message, last: u8) -> Message {
    let mut reply = Message::response(query.metadata.id, OpCode::Query);
    reply.add_query(query.queries[0].clone());
    let data = RData::A(A([10, 0, 0, last].into()));
    reply.add_answer(Record::from_rdata(query.queries[0].name().clone(), 60, data));
    reply
}

fn good(query: Message) -> Vec<Vec<u8>> {
    vec![answer(&query, 1).to_vec().unwrap()]
}

fn silent(_: Message) -> Vec<Vec<u8>> {
    Vec::new()
}

fn failing(query: Message) -> Vec<Vec<u8>> {
    vec![Message::error_msg(query.metadata.id, OpCode::Query, ResponseCode::ServFail).to_vec().unwrap()]
}

/// First with another id, about another name, and no answer at all; then the truth.
fn lying(query: Message) -> Vec<Vec<u8>> {
    let mut other_id = answer(&query, 66);
    other_id.metadata.id ^= 1;
    let mut other_name = answer(&query, 66);
    other_name.queries[0].set_name(Name::from_utf8("evil.test.").unwrap());
    vec![
        other_id.to_vec().unwrap(),
        other_name.to_vec().unwrap(),
        b"nonsense".to_vec(),
        query.to_vec().unwrap(),
        answer(&query, 1).to_vec().unwrap(),
    ]
}

fn long(query: Message) -> Vec<Vec<u8>> {
    let mut reply = answer(&query, 1);
    let record = reply.answers[0].clone();
    reply.add_answers(std::iter::repeat_n(record, 100));
    vec![reply.to_vec().unwrap()]
}

fn no_such_name(query: Message) -> Vec<Vec<u8>> {
    let mut reply = Message::error_msg(query.metadata.id, OpCode::Query, ResponseCode::NXDomain);
    reply.add_query(query.queries[0].clone());
    vec![reply.to_vec().unwrap()]
}

fn forwarder(port: u16) -> Rc<Forwarder> {
    let mut forwarder = Forwarder::new().unwrap();
    forwarder.port = port;
    Rc::new(forwarder)
}

fn question() -> Question {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_utf8("a.test.").unwrap(), RecordType::A));
    Question::read(&message.to_vec().unwrap()).unwrap()
}

async fn ask(forwarder: &Rc<Forwarder>, servers: &[u8], tcp: bool) -> Option<Message> {
    let servers = servers.iter().map(|last| IpAddr::from([127, 0, 0, *last])).collect();
    let asker = Member { id: "c".into(), servers, ..Member::default() };
    let question = question();
    let home = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
    let bytes = forwarder.ask(&asker, home.as_fd(), &question, tcp).await?;
    let message = Message::from_vec(&bytes).unwrap();
    assert_eq!(message.metadata.id, question.message.metadata.id);
    Some(message)
}

fn data(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| record.data.to_string()).collect()
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

#[test]
fn one_good_server_among_bad_ones_is_enough() {
    run(async {
        let port = server(61, 0, silent).await;
        server(62, port, failing).await;
        server(63, port, good).await;
        let forwarder = forwarder(port);
        let start = Instant::now();
        // 64 is nobody.
        for servers in [&[61, 62, 63][..], &[64, 63], &[63]] {
            forwarder.cache.take();
            assert_eq!(data(&ask(&forwarder, servers, false).await.unwrap()), ["10.0.0.1"]);
        }
        assert!(start.elapsed() < ALL_WAIT, "{:?}", start.elapsed());
        assert_eq!(
            forwarder.in_order([61, 63].map(|last| ([127, 0, 0, last], port).into()).to_vec())[0]
                .ip()
                .to_string(),
            "127.0.0.63",
            "who was silent comes last"
        );
    });
}

#[test]
fn lies_are_not_heard() {
    run(async {
        let port = server(65, 0, lying).await;
        assert_eq!(data(&ask(&forwarder(port), &[65], false).await.unwrap()), ["10.0.0.1"]);
    });
}

#[test]
fn without_an_answer_there_is_none_in_time() {
    run(async {
        let port = server(66, 0, silent).await;
        server(67, port, failing).await;
        let start = Instant::now();
        assert!(ask(&forwarder(port), &[67], false).await.is_none());
        assert!(start.elapsed() < Duration::from_secs(1), "a failure is known at once");
        assert!(ask(&forwarder(port), &[66], false).await.is_none());
        assert!(start.elapsed() < Duration::from_millis(4900), "{:?}", start.elapsed());
    });
}

#[test]
fn what_is_too_long_is_cut_and_whole_over_tcp() {
    run(async {
        let port = server(68, 0, long).await;
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 68), port)).await.unwrap();
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut bytes).await.unwrap();
            let reply = long(Message::from_vec(&bytes).unwrap()).remove(0);
            stream.write_u16(reply.len().try_into().unwrap()).await.unwrap();
            stream.write_all(&reply).await.unwrap();
        });
        let forwarder = forwarder(port);
        let cut = ask(&forwarder, &[68], false).await.unwrap();
        assert!(cut.metadata.truncation && cut.to_vec().unwrap().len() <= 512);
        forwarder.cache.take();
        let whole = ask(&forwarder, &[68], true).await.unwrap();
        assert_eq!((whole.metadata.truncation, whole.answers.len()), (false, 101));
    });
}

#[test]
fn that_there_is_no_such_name_is_an_answer() {
    run(async {
        let port = server(69, 0, no_such_name).await;
        server(70, port, good).await;
        let reply = ask(&forwarder(port), &[69, 70], false).await.unwrap();
        assert_eq!(reply.metadata.response_code, ResponseCode::NXDomain);
    });
}

#[test]
fn who_is_kept_inside_asks_nobody_of_the_host_s() {
    run(async {
        let home = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        let asker = Member { id: "c".into(), leads_out: false, ..Member::default() };
        assert!(forwarder(1).ask(&asker, home.as_fd(), &question(), false).await.is_none());
    });
}
