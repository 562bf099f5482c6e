//! What to run on each chosen combination of parts.

use crate::datafile::DataFile;
use crate::given::Given;
use crate::given::trace::{self, TraceFile};
use crate::runs::Stage;
use crate::workload::{BenchError, Config, Workload};
use std::path::{Path, PathBuf};

/// What to run on each chosen combination of parts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Work {
    /// The life of a database on real data.
    RealData,
    /// These workloads, one after the other.
    Workloads(Vec<Workload>),
    /// A user's own pairs.
    Data(PathBuf),
    /// A recorded trace.
    Trace(PathBuf),
    /// Rows that earlier comparisons left in these files.
    Recorded(Vec<PathBuf>),
    /// A comparison of terrace with others.
    Versus(Versus),
    /// As a child that is killed: writes to the database in this folder and acknowledges, until killed.
    WriteUntilKilled(PathBuf),
    /// As a child of a kill check: counts what is there of what was acknowledged.
    CountAfterKill(PathBuf),
}

/// What a comparison is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Versus {
    /// The other engines.
    pub(crate) against: Vec<String>,
    pub(crate) workloads: Vec<Workload>,
    /// Whether each store is killed once first and must still have what it acknowledged.
    pub(crate) kill_check: bool,
}

impl Default for Versus {
    fn default() -> Self {
        Versus { against: Vec::new(), workloads: VERSUS_WORKLOADS.to_vec(), kill_check: true }
    }
}

/// The workloads of a comparison when none are named; loads first.
const VERSUS_WORKLOADS: &[Workload] = &[
    Workload::FillRandom,
    Workload::FillSequential,
    Workload::FillBatch,
    Workload::ReadMemtable,
    Workload::ReadRandom,
    Workload::ReadMissing,
    Workload::ReadHot,
    Workload::SeekNext10,
    Workload::ScanForward,
    Workload::ScanBackward,
    Workload::YcsbA,
    Workload::YcsbB,
    Workload::YcsbC,
    Workload::YcsbD,
    Workload::YcsbE,
    Workload::YcsbF,
    Workload::MixGraph,
    Workload::ReadWhileWriting,
    Workload::Compact,
    Workload::OpenAfterKill,
];

/// Those of a matrix with a page or repetitions: one that writes, one that reads, one that ranges, and two mixes.
const MATRIX_WORKLOADS: &[Workload] =
    &[Workload::FillRandom, Workload::ReadRandom, Workload::SeekNext10, Workload::YcsbA, Workload::MixGraph];

/// The work that is meant by the workloads named, if any, by who is compared with whom, and by whether a matrix is asked for.
pub(super) fn chosen(
    names: Option<&[String]>,
    given: Option<Work>,
    mut versus: Versus,
    matrix: bool,
) -> Result<Work, lexopt::Error> {
    let named = names.map(work).transpose()?;
    if let Some(given) = given {
        return match named.is_none() && versus.against.is_empty() {
            true => Ok(given),
            false => Err(
                "a file is all the work: --data, --trace and --from go with no workload and no other engine"
                    .into(),
            ),
        };
    }
    if versus.against.is_empty() {
        return match named {
            Some(Work::RealData) if matrix => {
                Err("real data is checked once and has no page; name workloads for that".into())
            }
            None if matrix => Ok(Work::Workloads(MATRIX_WORKLOADS.to_vec())),
            named => Ok(named.unwrap_or(Work::RealData)),
        };
    }
    match named {
        Some(Work::Workloads(workloads)) => versus.workloads = workloads,
        Some(_) => return Err("real data is no work for a comparison".into()),
        None => {}
    }
    Ok(Work::Versus(versus))
}

fn work(names: &[String]) -> Result<Work, lexopt::Error> {
    if names == ["real-data"] {
        return Ok(Work::RealData);
    }
    if names == ["all"] {
        return Ok(Work::Workloads(Workload::ALL.to_vec()));
    }
    let found = names.iter().map(|name| {
        let known = || Workload::ALL.iter().map(|w| w.name()).collect::<Vec<_>>().join(", ");
        Workload::from_name(name).ok_or_else(|| {
            lexopt::Error::from(format!("no workload is called `{name}`; there are: real-data, {}", known()))
        })
    });
    Ok(Work::Workloads(found.collect::<Result<_, _>>()?))
}

fn file_argument(option: &str, path: &Path) -> Result<Vec<String>, String> {
    let path = path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
    Ok(vec![option.to_owned(), path.to_owned()])
}

impl Work {
    /// What each run of a matrix measures, and the arguments that tell another process to do this work.
    pub(crate) fn stages(&self) -> Result<(Vec<Stage>, Vec<String>), String> {
        match self {
            Work::Workloads(workloads) => {
                let names: Vec<&str> = workloads.iter().map(|workload| workload.name()).collect();
                let stages = workloads.iter().map(|workload| (*workload).into()).collect();
                Ok((stages, vec!["--workload".to_owned(), names.join(",")]))
            }
            Work::Data(path) => Ok((crate::datafile::STAGES.to_vec(), file_argument("--data", path)?)),
            Work::Trace(path) => Ok((trace::STAGES.to_vec(), file_argument("--trace", path)?)),
            other => Err(format!("{other:?} is no work for a matrix")),
        }
    }

    /// The work that is given and not drawn, looked through; nothing where it is drawn.
    ///
    /// # Errors
    ///
    /// What is wrong with the file.
    pub(crate) fn given(&self) -> Result<Option<Box<dyn Given>>, BenchError> {
        match self {
            Work::Data(path) => Ok(Some(Box::new(DataFile::open(path)?))),
            Work::Trace(path) => Ok(Some(Box::new(TraceFile::open(path)?))),
            _ => Ok(None),
        }
    }

    /// The sizes of drawn work, for a heading.
    pub(crate) fn in_words(config: &Config) -> String {
        format!(
            "{} records, keys of {} bytes, values of {} bytes ({} of it compressible), {} threads, {} operations",
            config.records,
            config.key_bytes,
            config.value_bytes,
            config.compressible,
            config.threads,
            config.ops,
        )
    }
}
