//! What a guest finds, in the words of the configuration.

use crate::model::Bytes;
use std::fmt;
use std::str::FromStr;

/// Something that is said by one of a few words.
pub trait Word: Copy + Sized + 'static {
    /// All of them.
    const WORDS: &'static [(&'static str, Self)];

    /// The word for it.
    fn word(self) -> &'static str
    where
        Self: PartialEq,
    {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

/// Reads a word; the sentence names those there are.
pub(super) fn of_words<T: Word>(text: &str) -> Result<T, String> {
    let found = T::WORDS.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
        format!("'{}' is none of {}", text.escape_debug(), words.join(", "))
    })
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$word_doc])* $variant),+ }
        impl Word for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($text, Self::$variant)),+];
        }
    };
}

pub(super) use words;

words! {
    /// What kind of system the guest is: several defaults follow from it.
    Guest {
        /// Linux, BSD and nearly everything else.
        Linux = "linux",
        /// Microsoft Windows.
        Windows = "windows",
    }
}

words! {
    /// A kind of processor.
    Architecture {
        /// 64-bit PC; runs 32-bit systems, too.
        X86 = "x86_64",
        /// 64-bit ARM.
        Arm = "aarch64",
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Architecture {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        of_words(text)
    }
}

words! {
    /// What starts the guest.
    Firmware {
        /// A PC's BIOS.
        Bios = "bios",
        /// UEFI, without Secure Boot.
        Uefi = "uefi",
        /// UEFI that starts what Microsoft has signed, which includes Debian.
        SecureUefi = "uefi-secure",
    }
}

words! {
    /// A graphics card.
    Video {
        /// Standard VGA: works with everything.
        Std = "std",
        /// virtio-vga: follows the browser's size.
        Virtio = "virtio",
        /// QXL.
        Qxl = "qxl",
        /// VMware SVGA.
        Vmware = "vmware",
    }
}

words! {
    /// How the disk is attached.
    DiskBus {
        /// As in old PCs: every guest can boot from it.
        Ide = "ide",
        /// AHCI.
        Sata = "sata",
        /// virtio-blk: the fastest, for guests that know it.
        Virtio = "virtio",
        /// virtio-scsi.
        Scsi = "scsi",
        /// NVM Express.
        Nvme = "nvme",
    }
}

words! {
    /// A network card.
    Card {
        /// virtio-net: the fastest, for guests that know it.
        Virtio = "virtio",
        /// Intel's of 2008, which Windows knows.
        E1000e = "e1000e",
        /// Intel's of 2000, which nearly everything knows.
        E1000 = "e1000",
    }
}

words! {
    /// The kind of network that guests have.
    NetworkMode {
        /// QEMU's user mode: a way out, none to the host nor to what is local.
        User = "user",
        /// No network card.
        None = "none",
        /// A network card on a bridge of the host's.
        Bridge = "bridge",
    }
}

words! {
    /// What the guest's clock shows when it starts.
    Clock {
        /// Universal time.
        Utc = "utc",
        /// The server's local time.
        Local = "localtime",
    }
}

/// What a section says about the guest's hardware; the rest is decided by the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hardware {
    /// What kind of system it is.
    pub guest: Option<Guest>,
    /// The kind of processor.
    pub architecture: Option<Architecture>,
    /// The emulator: a program's name or absolute path.
    pub program: Option<String>,
    /// What starts the guest.
    pub firmware: Option<Firmware>,
    /// A trusted platform module.
    pub tpm: bool,
    /// The graphics card.
    pub video: Option<Video>,
    /// How the disk is attached.
    pub disk: Option<DiskBus>,
    /// Size of the empty disk beside an ISO image.
    pub disk_size: Option<Bytes>,
    /// The network card.
    pub card: Option<Card>,
    /// What the guest's clock shows.
    pub clock: Option<Clock>,
    /// Memory that the guest frees goes back to the host.
    pub balloon: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_and_others_are_named() {
        for (word, bus) in DiskBus::WORDS {
            assert_eq!((of_words::<DiskBus>(word), bus.word()), (Ok(*bus), *word));
        }
        let told = of_words::<Firmware>("BIOS\u{1b}").unwrap_err();
        assert_eq!(told, "'BIOS\\u{1b}' is none of bios, uefi, uefi-secure");
    }
}
