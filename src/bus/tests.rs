//! Records for the tests of all who use the bus, and what becomes of a record on its way.

use super::*;
use crate::config::Architecture;
use crate::model::{Acceleration, Bytes, Lifetime, Owner, Pause, Problem, Role, State, Word};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Debug;
use std::os::unix::net::UnixStream;
use zbus::blocking::connection::Builder;
use zbus::zvariant::serialized::Context;
use zbus::zvariant::{LE, OwnedValue, Type, Value, to_bytes};

type Fields = HashMap<String, OwnedValue>;

/// A session that runs, of the person ada.
pub(crate) fn a_session(id: &str) -> Session {
    Session {
        id: id.parse().unwrap(),
        owner: "ada".into(),
        owner_id: "pam:ada".parse().unwrap(),
        machine: "slax.iso".parse().unwrap(),
        description: String::new(),
        state: State::Running,
        message: String::new(),
        paused: None,
        booted: false,
        cpus: 0,
        memory: Bytes(0),
        created_at: 0,
        expires_at: 0,
        extendable_until: 0,
        accel: None,
        network: String::new(),
        notes: Vec::new(),
    }
}

/// A machine that can be started.
pub(crate) fn a_machine(name: &str) -> Machine {
    Machine {
        name: name.parse().unwrap(),
        description: String::new(),
        problem: String::new(),
        unfit: String::new(),
        image_bytes: 0,
        icon: String::new(),
        cpus: 0,
        cpus_min: None,
        cpus_max: None,
        memory: Bytes(0),
        memory_min: None,
        memory_max: None,
        lifetime: Lifetime(0),
        architecture: None,
    }
}

/// A link that nobody has used.
pub(crate) fn a_share(id: &str) -> Share {
    Share {
        id: id.into(),
        role: Role::View,
        created_at: 0,
        expires_at: 0,
        once: false,
        used_at: None,
        used_by: String::new(),
        used_by_id: None,
    }
}

/// Somebody without a name who looks at the session by the owner's right.
pub(crate) fn a_viewer(session: &str) -> Viewer {
    Viewer {
        session: session.parse().unwrap(),
        share: String::new(),
        name: String::new(),
        name_id: None,
        role: Role::View,
        address: None,
        since: 0,
    }
}

/// What the ticket of somebody without a name allows.
pub(crate) fn a_grant(session: &str) -> Grant {
    Grant {
        session: session.parse().unwrap(),
        owner: "ada".into(),
        owner_id: "pam:ada".parse().unwrap(),
        machine: "slax.iso".parse().unwrap(),
        role: Role::View,
        share: String::new(),
        name: String::new(),
        name_id: None,
        until: None,
    }
}

fn decode<T: DeserializeOwned + Type>(value: &(impl Serialize + Type)) -> Result<T, String> {
    let bytes = to_bytes(Context::new_dbus(LE, 0), value).unwrap();
    bytes.deserialize().map(|(value, _)| value).map_err(|e| e.to_string())
}

/// Assert that a record comes out as it went in, and not at all if its peer knows a key more.
fn assert_crosses<T: Serialize + DeserializeOwned + Type + PartialEq + Debug>(record: &T) {
    assert_eq!(T::SIGNATURE.to_string(), "a{sv}");
    assert_eq!(decode::<T>(record).as_ref(), Ok(record));
    let mut fields: Fields = decode(record).unwrap();
    assert_eq!(decode::<T>(&fields).as_ref(), Ok(record));
    fields.insert("of_a_newer_version".into(), OwnedValue::from(7_u32));
    let error = decode::<T>(&fields).unwrap_err();
    assert!(error.contains("unknown field `of_a_newer_version`"), "{error}");
}

/// A session of which everything is known.
fn a_full_session() -> Session {
    Session {
        description: "Slax, a small live system".into(),
        message: "It was stopped.".into(),
        paused: Some(Pause::DiskLimit),
        cpus: 2,
        memory: Bytes(2 << 30),
        created_at: 1,
        expires_at: 2,
        extendable_until: 3,
        accel: Some(Acceleration::Kvm),
        network: "user".into(),
        notes: vec!["It is slow.".into()],
        ..a_session("abcdefghij")
    }
}

#[test]
fn each_record_crosses_the_bus_whole_and_one_of_a_newer_peer_is_refused() {
    let ada: Owner = "pam:ada".parse().unwrap();
    assert_crosses(&Asker { owner: "pam:ada".into(), name: "ada".into(), groups: vec!["users".into()] });
    assert_crosses(&NewSession {
        machine: "slax.iso".into(),
        cpus: 2,
        memory_bytes: 1 << 30,
        lifetime_seconds: 60,
        force: true,
    });
    assert_crosses(&NewShare { role: "view".into(), seconds: 60, once: true });
    for session in [a_session("abcdefghij"), a_full_session()] {
        assert_crosses(&session);
        assert_crosses(&Joined { session, role: Role::Control, ticket: "t".into(), secret: "s".into() });
    }
    assert_crosses(&a_machine("slax.iso"));
    assert_crosses(&Machine {
        cpus_min: Some(1),
        cpus_max: Some(4),
        memory_min: Some(Bytes(1 << 20)),
        memory_max: Some(Bytes(1 << 30)),
        lifetime: Lifetime(60),
        architecture: Some(Architecture::Arm),
        ..a_machine("slax.iso")
    });
    assert_crosses(&Offer { sessions: 1, cpus: 2, memory: Bytes(3), lifetime: Lifetime(4), reason: "No.".into() });
    assert_crosses(&a_share("s1"));
    let used = Share { used_at: Some(5), used_by: "ada".into(), used_by_id: Some(ada.clone()), ..a_share("s1") };
    assert_crosses(&used);
    assert_crosses(&a_viewer("abcdefghij"));
    let viewer = Viewer { name: "ada".into(), name_id: Some(ada.clone()), ..a_viewer("abcdefghij") };
    assert_crosses(&Viewer { address: "2001:db8::1".parse().ok(), ..viewer });
    assert_crosses(&a_grant("abcdefghij"));
    assert_crosses(&Grant { name: "ada".into(), name_id: Some(ada), until: Some(9), ..a_grant("abcdefghij") });
    let status = Status { load: 0.5, accel: Acceleration::Kvm, warnings: vec!["Slow.".into()], ..Status::default() };
    assert_crosses(&status);
    assert_crosses(&Figures { status, running: 3, ..Figures::default() });
    assert_crosses(&Usage {
        session: a_full_session(),
        read_at_microseconds: 1,
        cpu_microseconds: 2,
        memory_used: 3,
        memory_limit: 4,
        tasks: 5,
        viewers: 6,
    });
}

#[test]
fn a_key_that_is_missing_has_its_default_where_there_is_one() {
    let fields = |of: &[(&str, Value<'_>)]| -> Fields {
        of.iter().map(|(key, value)| ((*key).to_owned(), value.try_to_owned().unwrap())).collect()
    };
    let wanted: NewSession = decode(&fields(&[("machine", "slax.iso".into())])).unwrap();
    assert_eq!(wanted, NewSession { machine: "slax.iso".into(), ..NewSession::default() });
    assert_eq!(decode::<Asker>(&fields(&[])), Ok(Asker::default()));
    assert_eq!(decode::<NewShare>(&fields(&[])), Ok(NewShare::default()));
    let mut least = fields(&[("id", "abcdefghij".into()), ("owner_id", "pam:ada".into())]);
    least.extend(fields(&[("machine", "slax.iso".into()), ("state", "running".into())]));
    assert_eq!(decode(&least), Ok(Session { owner: String::new(), ..a_session("abcdefghij") }));
    least.remove("id");
    assert_eq!(decode::<Session>(&least).unwrap_err(), "missing field `id`");
}

#[test]
fn text_that_is_no_value_of_its_type_is_refused() {
    let mut fields: Fields = decode(&a_session("abcdefghij")).unwrap();
    fields.insert("state".into(), Value::from("asleep").try_to_owned().unwrap());
    assert!(decode::<Session>(&fields).unwrap_err().starts_with("A state is one of: "));
    fields.insert("state".into(), OwnedValue::from(1_u32));
    assert!(decode::<Session>(&fields).is_err());
}

#[test]
fn a_viewer_has_a_session_a_role_and_an_address_or_none() {
    let viewer: Fields = decode(&a_viewer("abcdefghij")).unwrap();
    let read = |key: &str, text: &str| {
        let mut fields =
            viewer.iter().map(|(key, value)| (key.clone(), value.try_clone().unwrap())).collect::<Fields>();
        fields.insert(key.into(), Value::from(text).try_to_owned().unwrap());
        decode::<Request<Viewer>>(&fields).unwrap().read()
    };
    assert!(read("role", "control").is_ok() && read("address", "192.0.2.7").is_ok());
    let long = "x".repeat(513);
    for (key, text) in [
        ("role", "owner"),
        ("address", "everywhere"),
        ("address", ""),
        ("session", "nonsense"),
        ("session", &long),
        ("name_id", &long),
    ] {
        assert_eq!(read(key, text).unwrap_err().word, Word::BadRequest, "{key}: {text}");
    }
}

#[test]
fn the_json_has_zero_or_nothing_for_what_is_absent() {
    let session = a_session("abcdefghij").json();
    assert_eq!((&session["paused"], &session["accel"], &session["proof"]), (&"".into(), &"".into(), &"pam".into()));
    let machine = a_machine("slax.iso").json();
    let absent = ["cpus_min", "cpus_max", "memory_min", "memory_max"].map(|key| machine[key].as_u64());
    assert_eq!((absent, &machine["architecture"]), ([Some(0); 4], &"".into()));
    let (share, viewer) = (a_share("s1").json(), a_viewer("abcdefghij").json());
    assert_eq!((&share["used"], &share["used_at"], &share["used_by_proof"]), (&false.into(), &0.into(), &"".into()));
    assert_eq!((&viewer["address"], &viewer["proof"]), (&"".into(), &"".into()));
    for (value, key) in [(&session, "owner_id"), (&share, "used_by_id"), (&viewer, "name_id")] {
        assert!(value.get(key).is_none(), "{key}");
    }
    let (offer, status) = (Offer::default().json(), Status::default().json());
    let keys = [session, machine, share, viewer, offer, status].map(|value| value.as_object().unwrap().len());
    assert_eq!(keys, [17, 14, 9, 7, 5, 14], "a key more or less is a change of the API");
}

struct Reader;

#[zbus::interface(name = "org.qemuwebdesktop.Launcher1")]
impl Reader {
    fn create(&self, asker: Request<Asker>, wanted: Request<NewSession>) -> Result<String, Problem> {
        Ok(format!("{} {}", asker.read()?.owner, wanted.read()?.machine))
    }
}

#[test]
fn a_request_that_cannot_be_read_is_answered_with_our_own_error() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server = std::thread::spawn(move || {
        let builder = Builder::unix_stream(theirs).server(zbus::Guid::generate()).unwrap().p2p();
        builder.serve_at(PATH, Reader).unwrap().build().unwrap()
    });
    let client = Builder::unix_stream(ours).p2p().build().unwrap();
    let _server = server.join().unwrap();
    let call = |asker: &[(&str, Value<'_>)], wanted: &[(&str, Value<'_>)]| -> Result<String, Problem> {
        let body: [HashMap<&str, &Value<'_>>; 2] =
            [asker, wanted].map(|all| all.iter().map(|(k, v)| (*k, v)).collect());
        let answer = client.call_method(None::<&str>, PATH, Some(INTERFACE), "Create", &(&body[0], &body[1]));
        Ok(answer?.body().deserialize()?)
    };
    let machine = ("machine", Value::from("a.iso"));
    assert_eq!(call(&[], std::slice::from_ref(&machine)), Ok(" a.iso".to_owned()));
    let problem = call(&[], &[machine.clone(), ("boot_script", "x".into())]).unwrap_err();
    assert_eq!(problem.word, Word::BadRequest);
    assert!(problem.message.starts_with("The request cannot be read: unknown field `boot_script`"), "{problem}");
    for asker in [("name", Value::from(1_u32)), ("groups", "wheel".into())] {
        assert_eq!(call(&[asker], &[]).unwrap_err().word, Word::BadRequest);
    }
}
