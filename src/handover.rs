//! A descriptor on its way from one process to another, over a Unix socket, with a few words.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most words that are read, in bytes.
const WORDS: usize = 2048;

/// Sends the words, of which there must be some, and the descriptor, if there is one.
pub fn give(socket: impl AsFd, words: &str, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
    if !fds.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&fds));
    }
    // Shorter than any socket buffer, so it goes in one piece or not at all.
    sendmsg(socket, &[IoSlice::new(words.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// What has come: no words at all mean that the other end is closed.
pub fn take(socket: impl AsFd) -> io::Result<(String, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut words = [0; WORDS];
    let came = recvmsg(socket, &mut [IoSliceMut::new(&mut words)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let fd = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    Ok((String::from_utf8_lossy(&words[..came.bytes]).into_owned(), fd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_descriptor_arrives_and_works() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut kept, sent) = UnixStream::pair().unwrap();
        give(&here, "tap", Some(sent.as_fd())).unwrap();
        drop(sent);
        let (words, fd) = take(&there).unwrap();
        assert_eq!(words, "tap");
        UnixStream::from(fd.unwrap()).write_all(b"x").unwrap();
        assert_eq!(kept.read(&mut [0; 2]).unwrap(), 1);
    }

    #[test]
    fn words_alone_are_words_and_an_end_is_none() {
        let (here, there) = UnixStream::pair().unwrap();
        give(&here, "it did not work", None).unwrap();
        drop(here);
        assert!(matches!(take(&there).unwrap(), (words, None) if words == "it did not work"));
        assert!(matches!(take(&there).unwrap(), (words, None) if words.is_empty()));
    }
}
