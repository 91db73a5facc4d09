//! What an image is by its bytes: pure, no file is touched here.
//!
//! QEMU is never asked to guess: a file that is none of the kinds known here is refused, and one
//! that is, is opened with that kind's driver and no other. Offsets are those of ECMA-119 (ISO 9660),
//! the UEFI specification (GPT) and the file systems' own documents.

use super::{Facts, VIRTUAL_SIZE_MAX};
use crate::model::Format;

/// As many bytes as [`kind_of`] needs from the file's beginning.
pub const HEAD_LEN: usize = 68 * 1024;
/// As many as it needs from its end.
pub const TAIL_LEN: usize = 512;

/// What the bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Known without asking anybody else.
    Plain(Facts),
    /// A container, which QEMU has to look into.
    Container(Format),
}

/// What a file of `size` bytes is that begins with `head` and ends with `tail`, or the sentence why
/// it is no machine.
pub fn kind_of(head: &[u8], tail: &[u8], size: u64) -> Result<Kind, String> {
    if size == 0 {
        return Err("The image is empty.".into());
    }
    if size > VIRTUAL_SIZE_MAX {
        return Err("The image is larger than 64 TiB.".into());
    }
    if let Some(format) = container(head, tail) {
        return checked_container(format?, head, size).map(Kind::Container);
    }
    if at(head, 32_769, b"CD001") {
        iso_is_whole(head, size)?;
        return Ok(plain(true, size));
    }
    // A DVD that has only the newer file system, UDF.
    if at(head, 32_769, b"BEA01") {
        return Ok(plain(true, size));
    }
    if let Some(why) = unbootable(head) {
        return Err(why.into());
    }
    if is_disk(head) {
        return Ok(plain(false, size));
    }
    Err(what_else(head))
}

/// Return why no machine can start from a disk that begins like this, if that is sure.
pub fn unbootable(disk: &[u8]) -> Option<&'static str> {
    const ENCRYPTED: &str = "The whole disk is encrypted (LUKS): nothing on it can start and ask for the key. Get an image \
                             with a boot loader outside the encryption, or decrypt it ('cryptsetup reencrypt --decrypt').";
    const LARGE_SECTORS: &str = "The disk was partitioned with sectors larger than 512 bytes, but sessions have sectors \
                                 of 512 bytes, so no partition would be found. Get an image with sectors of 512 bytes.";
    if at(disk, 0, b"LUKS\xba\xbe") {
        return Some(ENCRYPTED);
    }
    let table = |sector: usize| at(disk, sector, b"EFI PART");
    let large = !table(512) && [1024, 2048, 4096].into_iter().any(table);
    // The table in the first sector says only that there is another one: nothing else on it could start.
    let protects = at(disk, 510, b"\x55\xaa") && (0..4).any(|n| disk.get(450 + 16 * n) == Some(&0xee));
    (large && protects).then_some(LARGE_SECTORS)
}

/// A raw disk is read in whole sectors; QEMU rounds up as well.
fn plain(iso: bool, size: u64) -> Kind {
    Kind::Plain(Facts { format: Format::Raw, iso, virtual_size: size.div_ceil(512) * 512 })
}

fn at(bytes: &[u8], offset: usize, wanted: &[u8]) -> bool {
    bytes.get(offset..).is_some_and(|rest| rest.starts_with(wanted))
}

fn le16(bytes: &[u8], offset: usize) -> u64 {
    bytes.get(offset..offset + 2).map_or(0, |b| u64::from(b[0]) | u64::from(b[1]) << 8)
}

fn le32(bytes: &[u8], offset: usize) -> u64 {
    le16(bytes, offset) | le16(bytes, offset + 2) << 16
}

/// The container formats by their magic numbers; an error for those that are refused outright.
fn container(head: &[u8], tail: &[u8]) -> Option<Result<Format, String>> {
    const OLD_QCOW: &str = "The image has QEMU's first format, qcow; \
                            'qemu-img convert -f qcow -O qcow2 OLD NEW' makes one that is taken.";
    const DESCRIPTOR: &str = "The image is only the description of a VMware disk whose data is in other files: get it \
                              in one file from whoever made it.";
    if at(head, 0, b"QFI\xfb") {
        return Some(if at(head, 4, &[0, 0, 0, 1]) { Err(OLD_QCOW.into()) } else { Ok(Format::Qcow2) });
    }
    if at(head, 0, b"# Disk Descriptor") {
        return Some(Err(DESCRIPTOR.into()));
    }
    let magics: [(usize, &[u8], Format); 5] = [
        (0, b"QED\0", Format::Qed),
        (0, b"KDMV", Format::Vmdk),
        (0, b"vhdxfile", Format::Vhdx),
        (0, b"conectix", Format::Vpc),
        (64, b"\x7f\x10\xda\xbe", Format::Vdi),
    ];
    let known = magics.iter().find(|(offset, magic, _)| at(head, *offset, magic)).map(|(_, _, format)| *format);
    // A fixed-size VHD is a raw disk with a footer.
    known.or_else(|| at(tail, 0, b"conectix").then_some(Format::Vpc)).map(Ok)
}

/// What qemu-img's check does not notice.
fn checked_container(format: Format, head: &[u8], size: u64) -> Result<Format, String> {
    if format == Format::Vdi {
        let (data, block, allocated) = (le32(head, 0x158), le32(head, 0x178), le32(head, 0x184));
        if data + block * allocated > size {
            return Err(truncated(data + block * allocated, size));
        }
    }
    Ok(format)
}

fn truncated(wanted: u64, size: u64) -> String {
    format!(
        "The image is cut short: it says that it has {wanted} bytes, but the file has {size}. Download or copy it again."
    )
}

/// Compares the size in the primary volume descriptor with the file's.
fn iso_is_whole(head: &[u8], size: u64) -> Result<(), String> {
    const DESCRIPTOR: usize = 32_768;
    let (blocks, block) = (le32(head, DESCRIPTOR + 80), le16(head, DESCRIPTOR + 128));
    // A boot record may stand first; then the size is not here.
    if head.get(DESCRIPTOR) != Some(&1) {
        return Ok(());
    }
    if !matches!(block, 512 | 1024 | 2048) {
        return Err("The image begins like a CD, but its description is damaged. Download or copy it again.".into());
    }
    if blocks * block > size { Err(truncated(blocks * block, size)) } else { Ok(()) }
}

/// A partition table, a boot sector or a file system without one.
fn is_disk(head: &[u8]) -> bool {
    let signs: [(usize, &[u8]); 14] = [
        (510, b"\x55\xaa"),          // MBR, and the boot sector of FAT and NTFS
        (512, b"EFI PART"),          // GPT
        (508, b"\xda\xbe"),          // Sun's label
        (0, b"ER"),                  // Apple's driver descriptor
        (512, b"PM\0\0"),            // Apple's partition map
        (0, b"RDSK"),                // Amiga's rigid disk block
        (1080, b"\x53\xef"),         // ext2, ext3, ext4
        (0, b"XFSB"),                // XFS
        (65_600, b"_BHRfS_M"),       // btrfs
        (1024, b"\x10\x20\xf5\xf2"), // F2FS
        (1024, b"H+"),               // HFS+
        (1024, b"HX"),               // HFSX
        (0, b"hsqs"),                // squashfs
        (512, b"LABELONE"),          // LVM
    ];
    head.len() >= 512 && signs.iter().any(|(offset, sign)| at(head, *offset, sign))
}

/// The sentence for a file that is none of ours, as helpful as can be.
fn what_else(head: &[u8]) -> String {
    let packed: [(usize, &[u8], &str); 7] = [
        (0, b"\x1f\x8b", "gunzip"),
        (0, b"BZh", "bunzip2"),
        (0, b"\xfd7zXZ\0", "unxz"),
        (0, b"\x28\xb5\x2f\xfd", "unzstd"),
        (0, b"PK\x03\x04", "unzip"),
        (0, b"7z\xbc\xaf", "7z x"),
        (257, b"ustar", "tar -xf"),
    ];
    if let Some((_, _, tool)) = packed.iter().find(|(offset, magic, _)| at(head, *offset, magic)) {
        return format!(
            "The image is packed in an archive: unpack it first ('{tool}' does), and use what is inside. What is named by \
             url= is unpacked by 'qwdctl download', if it is .gz, .xz, .zst or .zip."
        );
    }
    let page = head.trim_ascii_start();
    if page.starts_with(b"<") {
        return "This is not a disk image but a web page; the address leads to the wrong place.".into();
    }
    "This is not a disk image: there is no partition table, boot sector or file system that we know at its \
     beginning."
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(len: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; len];
        for (offset, part) in parts {
            bytes[*offset..*offset + part.len()].copy_from_slice(part);
        }
        bytes
    }

    fn kind(bytes: &[u8]) -> Result<Kind, String> {
        let head = &bytes[..bytes.len().min(HEAD_LEN)];
        kind_of(head, &bytes[bytes.len().saturating_sub(TAIL_LEN)..], bytes.len() as u64)
    }

    fn iso(blocks: u32, len: usize) -> Vec<u8> {
        let (size, block) = (blocks.to_le_bytes(), 2048u16.to_le_bytes());
        file(len, &[(32_768, b"\x01CD001\x01"), (32_768 + 80, &size), (32_768 + 128, &block)])
    }

    #[test]
    fn a_whole_iso_is_an_iso() {
        let found = kind(&iso(40, 40 * 2048)).unwrap();
        assert_eq!(found, Kind::Plain(Facts { format: Format::Raw, iso: true, virtual_size: 81_920 }));
        // With room to spare, as hybrid images have it.
        assert!(kind(&iso(40, 100 * 2048)).is_ok());
    }

    #[test]
    fn a_truncated_iso_is_refused() {
        let message = kind(&iso(41, 40 * 2048)).unwrap_err();
        assert!(message.contains("cut short") && message.contains("83968") && message.contains("81920"), "{message}");
        let no_block_size = file(40 * 2048, &[(32_768, b"\x01CD001\x01")]);
        assert!(kind(&no_block_size).unwrap_err().contains("damaged"));
    }

    #[test]
    fn a_disk_is_known_by_its_boot_sector_or_file_system() {
        for part in [(510, &b"\x55\xaa"[..]), (512, b"EFI PART"), (1080, b"\x53\xef"), (0, b"XFSB")] {
            let found = kind(&file(100_001, &[part])).unwrap();
            let facts = Facts { format: Format::Raw, iso: false, virtual_size: 100_352 };
            assert_eq!(found, Kind::Plain(facts), "{part:?}");
        }
    }

    #[test]
    fn a_disk_that_nothing_can_start_from_is_refused() {
        let protective: &[(usize, &[u8])] = &[(450, b"\xee"), (510, b"\x55\xaa")];
        let gpt = |sector: usize| file(100_352, &[protective, &[(sector, b"EFI PART")]].concat());
        for (bytes, wanted) in [
            (file(100_352, &[(0, b"LUKS\xba\xbe\0\x02")]), Some("encrypted (LUKS)")),
            (file(100_352, &[(0, b"LUKS\xba\xbe\0\x01"), (510, b"\x55\xaa")]), Some("encrypted (LUKS)")),
            (gpt(4096), Some("sectors larger than 512")),
            (gpt(2048), Some("sectors larger than 512")),
            (gpt(512), None),
            // An old table further behind harms nothing.
            (file(100_352, &[protective, &[(512, b"EFI PART"), (4096, b"EFI PART")]].concat()), None),
            (file(100_352, &[(510, b"\x55\xaa"), (4096, b"EFI PART")]), None),
            (file(100_352, protective), None),
        ] {
            let found = kind(&bytes);
            match wanted {
                Some(wanted) => assert!(found.unwrap_err().contains(wanted), "{wanted}"),
                None => assert!(found.is_ok()),
            }
        }
    }

    #[test]
    fn what_is_no_disk_is_refused_by_what_it_is() {
        for (bytes, word) in [
            (vec![], "empty"),
            (b"Hello, world.\n".repeat(100), "not a disk image"),
            (b"\n<!DOCTYPE html><title>404</title>".to_vec(), "web page"),
            (b"\x1f\x8b\x08\0".to_vec(), "gunzip"),
            (file(1024, &[(257, b"ustar\0")]), "tar -xf"),
            (b"# Disk DescriptorFile\nversion=1\nRW 1 FLAT \"/etc/shadow\" 0\n".to_vec(), "other files"),
            (b"QFI\xfb\0\0\0\x01".to_vec(), "qemu-img convert"),
            (vec![0; 4096], "not a disk image"),
        ] {
            let message = kind(&bytes).unwrap_err();
            assert!(message.contains(word), "{word}: {message}");
        }
    }

    #[test]
    fn containers_are_known_by_their_magic_wherever_it_stands() {
        let cases: [(usize, &[u8], Format); 6] = [
            (0, b"QFI\xfb\0\0\0\x03", Format::Qcow2),
            (0, b"QED\0", Format::Qed),
            (0, b"KDMV", Format::Vmdk),
            (0, b"vhdxfile", Format::Vhdx),
            (0, b"conectix", Format::Vpc),
            (4096 - 512, b"conectix", Format::Vpc),
        ];
        for (offset, magic, format) in cases {
            assert_eq!(kind(&file(4096, &[(offset, magic)])).unwrap(), Kind::Container(format), "{format:?}");
        }
        // A container stays one although its data looks like a CD.
        let both = file(40_000, &[(0, b"QFI\xfb\0\0\0\x03"), (32_768, b"\x01CD001")]);
        assert_eq!(kind(&both).unwrap(), Kind::Container(Format::Qcow2));
    }

    #[test]
    fn a_truncated_vdi_is_refused() {
        let part = |len| {
            let (block, count) = ((1u32 << 20).to_le_bytes(), 3u32.to_le_bytes());
            file(len, &[(64, b"\x7f\x10\xda\xbe"), (0x158, &[0, 4, 0, 0]), (0x178, &block), (0x184, &count)])
        };
        assert_eq!(kind(&part((3 << 20) + 1024)).unwrap(), Kind::Container(Format::Vdi));
        assert!(kind(&part(3 << 20)).unwrap_err().contains("cut short"));
    }

    #[test]
    fn no_part_of_an_image_is_too_short_to_judge() {
        let vdi = file(512, &[(64, b"\x7f\x10\xda\xbe"), (0x178, &[0xff; 16]), (0x158, &[0xff; 4])]);
        let cd = file(33_000, &[(32_768, b"\x01CD001\x01"), (32_768 + 80, &[0xff; 4]), (32_768 + 128, &[0, 8])]);
        for whole in [vdi, cd, file(600, &[(0, b"QFI\xfb")]), file(600, &[(510, b"\x55\xaa")])] {
            for len in (0..whole.len()).rev().step_by(7) {
                let part = &whole[..len];
                // Whatever the claimed size is: an answer, and no panic.
                for size in [0, len as u64, u64::MAX] {
                    let _ = kind_of(part, part, size);
                }
            }
        }
    }
}
