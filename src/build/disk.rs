//! The root becomes a disk that boots by BIOS. No loop device, no mount: the file system is filled by mke2fs,
//! and GRUB lies where its own defaults look for it (boot.img in the first sector, core.img from the second on).

use super::bootstrap::ROOT;
use super::finish::{CORE, LABEL};
use super::{Failure, missing, tool};
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::Stdio;

const SECTOR: u64 = 512;
/// The only partition begins at 1 MiB; GRUB's core fits in the gap before it.
const START: u64 = 2048;
/// Code of the first sector; what follows is the table of partitions.
const CODE: usize = 440;

/// Makes DIR/raw of DIR/root.
pub(super) fn make(folder: &Path, size: u64) -> Result<(), Failure> {
    let (root, raw) = (folder.join(ROOT), folder.join("raw"));
    let failed = |e: std::io::Error| Failure::of("The disk cannot be written", &e);
    let boot = fs::read(root.join("usr/lib/grub/i386-pc/boot.img")).map_err(failed)?;
    let core = fs::read(root.join(CORE)).and_then(|core| fs::remove_file(root.join(CORE)).map(|()| core));
    let core = core.map_err(failed)?;
    if core.len() as u64 > (START - 1) * SECTOR {
        return Err(Failure::new("GRUB is too large for the gap before the first partition."));
    }
    let disk = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&raw).map_err(failed)?;
    disk.set_len(size).map_err(failed)?;
    disk.write_all_at(&first_sector(&boot, size)?, 0).map_err(failed)?;
    disk.write_all_at(&core, SECTOR).map_err(failed)?;
    fill(&raw, &root, size)?;
    disk.sync_all().map_err(failed)
}

/// GRUB's first stage and one bootable partition to the end of the disk.
fn first_sector(boot: &[u8], size: u64) -> Result<[u8; SECTOR as usize], Failure> {
    let mut sector = [0; SECTOR as usize];
    let code = boot.get(..CODE).ok_or_else(|| Failure::new("GRUB's first sector is cut short."))?;
    sector[..CODE].copy_from_slice(code);
    let entry = &mut sector[446..462];
    entry[0] = 0x80;
    // Linux. Cylinders and heads say "beyond what can be said", as they have for thirty years.
    entry[1..8].copy_from_slice(&[0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff]);
    entry[8..12].copy_from_slice(&(START as u32).to_le_bytes());
    // A table of this kind ends at 2 TiB.
    let length = u32::try_from(size / SECTOR - START).unwrap_or(u32::MAX);
    entry[12..].copy_from_slice(&length.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    Ok(sector)
}

fn fill(raw: &Path, root: &Path, size: u64) -> Result<(), Failure> {
    let mut command = tool("mke2fs");
    command.args(["-q", "-F", "-t", "ext4", "-m", "1", "-L", LABEL]);
    // What a newer mke2fs would do by itself, and an older GRUB does not read.
    command.args(["-O", "^metadata_csum_seed,^orphan_file"]);
    // The file is new: nothing has to be zeroed, neither now nor by each guest.
    let offset = START * SECTOR;
    command.arg("-E").arg(format!("offset={offset},lazy_itable_init=1,assume_storage_prezeroed=1,nodiscard"));
    let length = (size - offset).min(u64::from(u32::MAX) * SECTOR) >> 10;
    command.arg("-d").args([root, raw]).arg(format!("{length}k"));
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(|e| missing("mke2fs", "e2fsprogs", &e))?;
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        // What is no text is of no use to anybody.
        let _ = stderr.read_to_string(&mut said);
    }
    let done = child.wait().map_err(|e| Failure::of("mke2fs cannot be followed", &e))?;
    print!("{said}");
    if done.success() {
        return Ok(());
    }
    if said.contains("No space left") || File::open(raw).is_err() {
        return Err(Failure::full());
    }
    match said.contains("Could not allocate block") {
        true => Err(Failure::new("What is to be installed does not fit on the disk: give it a larger --size.")),
        false => Err(Failure::new(format!("The file system cannot be made: {}", said.lines().last().unwrap_or("?")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sector_names_one_bootable_partition_to_the_end() {
        let sector = first_sector(&[7; 512], 10 << 30).unwrap();
        assert!(sector[..CODE].iter().all(|byte| *byte == 7));
        assert_eq!((sector[446], sector[450]), (0x80, 0x83));
        let number = |at: usize| u32::from_le_bytes(sector[at..at + 4].try_into().unwrap());
        assert_eq!((number(454), number(458)), (2048, 20 * 1024 * 1024 - 2048));
        assert!(sector[462..510].iter().all(|byte| *byte == 0));
        assert_eq!(sector[510..], [0x55, 0xaa]);
        assert!(first_sector(&[7; 100], 10 << 30).is_err());
    }
}
