//! The channel to a session: one document and all descriptors, which wait in a socket that becomes the standard
//! input of the session's unit. systemd 252 hands a transient unit no more descriptors than that one.
//!
//! The launcher sends before it asks systemd for the unit, and closes its end: the session depends on nobody, and reads
//! one message and an end, or refuses to start.

use crate::vm::{DescriptorKind, StartDocument};
use rustix::fs::{FileType, fstat, major, minor};
use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The longest document in bytes: a command line of QEMU has some 4,000.
const DOCUMENT_MAX: usize = 64 << 10;
/// The most descriptors.
const DESCRIPTORS_MAX: usize = 8;
/// The device number of /dev/net/tun.
const TUN: (u32, u32) = (10, 200);

/// Send the document with its descriptors, and return the end of the channel from which they can be read.
pub fn send(document: &StartDocument, descriptors: &[OwnedFd]) -> io::Result<OwnedFd> {
    let text = serde_json::to_vec(document)?;
    if text.len() > DOCUMENT_MAX || descriptors.len() > DESCRIPTORS_MAX {
        return Err(invalid("the session's document is too large"));
    }
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(ours, &[IoSlice::new(&text)], &mut control, flags)?;
    Ok(theirs)
}

/// Return the document and the descriptors that it names, each of the right kind; they are closed on exec.
pub fn receive(channel: impl AsFd) -> io::Result<(StartDocument, Vec<OwnedFd>)> {
    let (text, descriptors) = receive_message(&channel)?;
    if text.is_empty() {
        return Err(invalid("nothing was handed over"));
    }
    let document: StartDocument = serde_json::from_slice(&text)?;
    if document.descriptors.len() != descriptors.len() {
        let (named, came) = (document.descriptors.len(), descriptors.len());
        return Err(invalid(&format!("the document names {named} descriptors, and {came} came with it")));
    }
    for (named, descriptor) in document.descriptors.iter().zip(&descriptors) {
        if !is_of_kind(named.kind, descriptor)? {
            return Err(invalid(&format!("a descriptor is not the {} that the document names", named.kind)));
        }
    }
    let (more, _) = receive_message(&channel)?;
    if more.is_empty() { Ok((document, descriptors)) } else { Err(invalid("more than one document was handed over")) }
}

/// Return the next message; an empty one is the end. It is there already, or never will be.
fn receive_message(channel: impl AsFd) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut text = vec![0; DOCUMENT_MAX];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let came = recvmsg(channel, &mut [IoSliceMut::new(&mut text)], &mut control, flags)?;
    let descriptors = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    let descriptors = descriptors.collect();
    if came.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(invalid("the message is too large"));
    }
    text.truncate(came.bytes);
    Ok((text, descriptors))
}

fn is_of_kind(kind: DescriptorKind, descriptor: &OwnedFd) -> io::Result<bool> {
    let facts = fstat(descriptor)?;
    let file_type = FileType::from_raw_mode(facts.st_mode);
    Ok(match kind {
        DescriptorKind::Socket => {
            file_type == FileType::Socket
                && socket_domain(descriptor)? == AddressFamily::UNIX
                && socket_type(descriptor)? == SocketType::STREAM
                // The kernel names whoever listened to those who connect: that must be the session's user.
                && !socket_acceptconn(descriptor)?
        }
        DescriptorKind::Tap => {
            file_type == FileType::CharacterDevice && (major(facts.st_rdev), minor(facts.st_rdev)) == TUN
        }
    })
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::Descriptor;
    use rustix::net::{listen, socket_with};
    use std::fs::File;

    fn monitor() -> OwnedFd {
        socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap()
    }

    fn document(descriptors: &[DescriptorKind]) -> StartDocument {
        StartDocument {
            steps: Vec::new(),
            qemu: vec!["qemu-system-x86_64".into()],
            descriptors: descriptors
                .iter()
                .map(|kind| Descriptor { kind: *kind, arguments: vec![], file: None })
                .collect(),
        }
    }

    /// What is read of these messages, or why they are refused.
    fn read(messages: &[&[u8]]) -> Result<StartDocument, String> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        for message in messages {
            rustix::net::send(&ours, message, SendFlags::empty()).unwrap();
        }
        drop(ours);
        receive(theirs).map(|(document, _)| document).map_err(|e| e.to_string())
    }

    fn refused(named: &[DescriptorKind], sent: Vec<OwnedFd>) -> String {
        receive(send(&document(named), &sent).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn a_document_arrives_with_its_descriptors_and_none_of_them_is_inherited() {
        let sent = document(&[DescriptorKind::Socket, DescriptorKind::Socket]);
        let (came, descriptors) = receive(send(&sent, &[monitor(), monitor()]).unwrap()).unwrap();
        assert_eq!((came, descriptors.len()), (sent, 2));
        for descriptor in &descriptors {
            assert_eq!(rustix::io::fcntl_getfd(descriptor).unwrap(), rustix::io::FdFlags::CLOEXEC);
        }
    }

    #[test]
    fn as_many_descriptors_come_as_the_document_names() {
        use DescriptorKind::Socket;
        assert!(refused(&[Socket, Socket], vec![monitor()]).contains("names 2 descriptors, and 1 came"));
        assert!(refused(&[Socket], vec![monitor(), monitor()]).contains("names 1 descriptors, and 2 came"));
        assert!(refused(&[Socket], vec![]).contains("and 0 came"));
    }

    #[test]
    fn a_descriptor_of_another_kind_is_refused() {
        use DescriptorKind::{Socket, Tap};
        let null = || OwnedFd::from(File::open("/dev/null").unwrap());
        let listening = monitor();
        listen(&listening, 1).unwrap_or_default();
        let bound = rustix::net::SocketAddrUnix::new_abstract_name(b"qwd-channel-test").unwrap();
        let served = monitor();
        rustix::net::bind(&served, &bound).unwrap();
        listen(&served, 1).unwrap();
        let datagram = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).unwrap();
        for (kind, descriptor) in
            [(Socket, null()), (Socket, served), (Socket, datagram), (Tap, null()), (Tap, monitor())]
        {
            assert!(refused(&[kind], vec![descriptor]).contains("is not the"), "{kind:?}");
        }
    }

    #[test]
    fn only_one_whole_document_that_says_nothing_unknown_is_accepted() {
        let good = serde_json::to_vec(&document(&[])).unwrap();
        assert!(read(&[&good]).is_ok());
        assert!(read(&[]).unwrap_err().contains("nothing was handed over"));
        assert!(read(&[&good, &good]).unwrap_err().contains("more than one"));
        assert!(read(&[&good[..good.len() - 1]]).is_err());
        let more = String::from_utf8(good.clone()).unwrap().replace("\"steps\"", "\"owner\":\"ada\",\"steps\"");
        assert!(read(&[more.as_bytes()]).unwrap_err().contains("unknown field"));
        let less = String::from_utf8(good.clone()).unwrap().replace("\"steps\":[],", "");
        assert!(read(&[less.as_bytes()]).unwrap_err().contains("missing field"));
        assert!(read(&[&[b' '; DOCUMENT_MAX + 1]]).unwrap_err().contains("too large"));
    }

    #[test]
    fn what_is_too_large_is_not_sent() {
        let long = StartDocument { qemu: vec!["x".repeat(DOCUMENT_MAX)], ..document(&[]) };
        assert!(send(&long, &[]).is_err());
        let many: Vec<OwnedFd> = (0..=DESCRIPTORS_MAX).map(|_| monitor()).collect();
        assert!(send(&document(&[]), &many).is_err());
    }

    #[test]
    fn what_is_no_channel_is_refused_and_one_that_is_open_is_not_waited_for() {
        assert!(receive(File::open("/dev/null").unwrap()).is_err());
        let (_ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        assert!(receive(theirs).is_err());
    }
}
