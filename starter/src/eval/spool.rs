//! Numbers that wait on disk, so that memory does not grow with the input.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
};

/// Numbers in order.
#[derive(Debug)]
pub(super) struct Queue(BufWriter<File>);

impl Queue {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(BufWriter::new(tempfile::tempfile()?)))
    }

    pub(super) fn push(&mut self, number: u32) -> io::Result<()> {
        self.0.write_all(&number.to_le_bytes())
    }

    /// Gives the numbers back in the order they came.
    pub(super) fn drain(self, mut each: impl FnMut(u32) -> io::Result<()>) -> io::Result<()> {
        let mut file = self
            .0
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::new(file);
        let mut bytes = [0; 4];
        loop {
            match reader.read_exact(&mut bytes) {
                Ok(()) => each(u32::from_le_bytes(bytes))?,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Numbers of a group that stay in memory.
const CHUNK: usize = 512;

#[derive(Debug, Default)]
struct Group {
    /// Where full chunks lie.
    chunks: Vec<u64>,
    last: Vec<u64>,
}

/// Numbers by group; a group is taken out as a whole.
#[derive(Debug)]
pub(super) struct Groups {
    file: File,
    end: u64,
    free: Vec<u64>,
    groups: HashMap<u64, Group>,
}

impl Groups {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            file: tempfile::tempfile()?,
            end: 0,
            free: Vec::new(),
            groups: HashMap::new(),
        })
    }

    pub(super) fn push(&mut self, group: u64, number: u64) -> io::Result<()> {
        let group = self.groups.entry(group).or_default();
        group.last.push(number);
        if group.last.len() < CHUNK {
            return Ok(());
        }
        let at = self.free.pop().unwrap_or_else(|| {
            let at = self.end;
            self.end += (CHUNK * 8) as u64;
            at
        });
        let bytes: Vec<u8> = group.last.iter().flat_map(|n| n.to_le_bytes()).collect();
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(&bytes)?;
        group.chunks.push(at);
        group.last.clear();
        Ok(())
    }

    /// Takes a group out, its numbers in the order they came.
    pub(super) fn take(
        &mut self,
        group: u64,
        mut each: impl FnMut(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(group) = self.groups.remove(&group) else {
            return Ok(());
        };
        let mut bytes = vec![0; CHUNK * 8];
        for at in group.chunks {
            self.file.seek(SeekFrom::Start(at))?;
            self.file.read_exact(&mut bytes)?;
            self.free.push(at);
            for number in bytes.chunks_exact(8) {
                each(u64::from_le_bytes(number.try_into().unwrap_or_default()))?;
            }
        }
        group.last.into_iter().try_for_each(each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_in_order() {
        let mut queue = Queue::new().unwrap();
        (0..10_000).for_each(|n| queue.push(n).unwrap());
        let mut seen = Vec::new();
        queue
            .drain(|n| {
                seen.push(n);
                Ok(())
            })
            .unwrap();
        assert!(seen.into_iter().eq(0..10_000));
    }

    #[test]
    fn groups_are_kept_apart_and_their_room_is_used_again() {
        let mut groups = Groups::new().unwrap();
        for round in 0..3 {
            for n in 0..5_000_u64 {
                groups.push(n % 2, n).unwrap();
            }
            for group in 0..2 {
                let mut seen = Vec::new();
                groups
                    .take(group, |n| {
                        seen.push(n);
                        Ok(())
                    })
                    .unwrap();
                assert!(seen.into_iter().eq((group..5_000).step_by(2)), "{round}");
            }
        }
        assert_eq!(groups.end, 8 * CHUNK as u64 * 8);
    }
}
