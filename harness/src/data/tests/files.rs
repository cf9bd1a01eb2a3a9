//! Layouts of files, and what is said of damaged ones.

use std::io::Write as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn partial(folder: &Path) -> Cifar {
    Cifar::ten(folder).unwrap().partial()
}

#[test]
fn cifar10_planes_become_pixels_in_the_order_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    made_up_cifar10(folder.path(), 3);
    let cifar = partial(folder.path());
    let images = cifar.load(&context(), Split::Train).unwrap();
    assert_eq!(images.labels, [0, 1, 2].repeat(5));
    // Record 1 of the third file: red, green and blue of row 2, column 5.
    let raw = &record(1, 201)[1..];
    let place = 2 * 32 + 5;
    assert_eq!(images.image(7)[3 * place..3 * place + 3], [raw[place], raw[1024 + place], raw[2048 + place]]);
    assert_eq!(cifar.load(&context(), Split::Test).unwrap().len(), 3);
    assert_eq!(cifar.classes()[8], "ship");
}

#[test]
fn the_official_archive_gives_the_same_images_as_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let unpacked = folder.path().join("cifar-10-batches-bin");
    std::fs::create_dir(&unpacked).unwrap();
    made_up_cifar10(&unpacked, 2);
    let from_folder = partial(folder.path());
    let images = Split::ALL.map(|split| from_folder.load(&context(), split).unwrap());

    let mut tar = tar::Builder::new(Vec::new());
    tar.append_dir_all("cifar-10-batches-bin", &unpacked).unwrap();
    let packed = tempfile::tempdir().unwrap();
    write(packed.path(), cifar::TEN.archive, &gzip(&tar.into_inner().unwrap()));
    let from_archive = partial(packed.path());
    assert!(matches!(from_archive.place, cifar::Place::Archive(_)));
    assert_eq!(Split::ALL.map(|split| from_archive.load(&context(), split).unwrap()), images);

    // A cut archive, and one without the files.
    let whole = std::fs::read(packed.path().join(cifar::TEN.archive)).unwrap();
    write(packed.path(), cifar::TEN.archive, &whole[..whole.len() / 2]);
    // Which members are still whole depends on the order in which the system lists a folder.
    let cut = Split::ALL.map(|split| partial(packed.path()).load(&context(), split).err());
    assert!(cut.iter().flatten().count() > 0, "half of an archive was taken for a whole one");
    assert!(cut.iter().flatten().all(|e| matches!(e, DataError::Archive { .. })), "{cut:?}");
    write(packed.path(), cifar::TEN.archive, &gzip(&tar::Builder::new(Vec::new()).into_inner().unwrap()));
    let empty = partial(packed.path()).load(&context(), Split::Test).unwrap_err().to_string();
    assert!(empty.contains("no member test_batch.bin"), "{empty}");
}

#[test]
fn cifar100_has_two_labels() {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..4).flat_map(|i| [vec![i + 10], record(90 + i, 0)].concat()).collect();
    write(folder.path(), "train.bin", &bytes);
    let labels = |labels| {
        let cifar = Cifar::hundred(folder.path(), labels).unwrap().partial();
        (cifar.load(&context(), Split::Train).unwrap().labels, cifar.classes().len(), cifar.name())
    };
    assert_eq!(labels(Labels::Fine), (vec![90, 91, 92, 93], 100, "cifar100"));
    assert_eq!(labels(Labels::Coarse), (vec![10, 11, 12, 13], 20, "cifar100-coarse"));
}

#[test]
fn damaged_cifar_files_are_named_with_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let (at, load) = (folder.path(), |split| partial(folder.path()).load(&context(), split).unwrap_err());
    assert!(matches!(Cifar::ten(at), Err(DataError::Missing { what: "CIFAR-10", .. })));
    made_up_cifar10(at, 2);
    let file = |name: &str| at.join(name).display().to_string();

    write(at, "data_batch_2.bin", &[record(0, 0), record(1, 1)].concat()[..5000]);
    let e = load(Split::Train);
    let expected = format!("{} is truncated: record 1 has 1927 of 3073 bytes", file("data_batch_2.bin"));
    assert_eq!(e.to_string(), expected);

    write(at, "data_batch_2.bin", &[record(0, 0), record(10, 1)].concat());
    let e = load(Split::Train);
    assert!(matches!(&e, DataError::Label { record: 1, label: 10, classes: 10, .. }), "{e}");

    std::fs::remove_file(at.join("data_batch_2.bin")).unwrap();
    let e = load(Split::Train);
    assert!(matches!(&e, DataError::Missing { expected, .. } if expected == "data_batch_2.bin"), "{e}");

    // The official number of records is asked for unless a sample is accepted.
    let e = Cifar::ten(at).unwrap().load(&context(), Split::Test).unwrap_err();
    assert_eq!(e.to_string(), format!("{} has 2 records, but 10000 are expected", file("test_batch.bin")));
}

/// The four files of `records` images, as bytes.
fn idx_files(records: u32) -> [Vec<u8>; 2] {
    let header = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    let pixels = (0..records * 784).map(|i| (i % 251) as u8);
    let labels = (0..records).map(|i| (i % 10) as u8);
    [
        header(&[0x803, records, 28, 28]).into_iter().chain(pixels).collect(),
        header(&[0x801, records]).into_iter().chain(labels).collect(),
    ]
}

#[test]
fn idx_files_plain_or_packed_in_any_of_the_places() {
    let folder = tempfile::tempdir().unwrap();
    let [images, labels] = idx_files(12);
    let mnist = folder.path().join("mnist");
    std::fs::create_dir(&mnist).unwrap();
    write(&mnist, "train-images-idx3-ubyte.gz", &gzip(&images));
    write(&mnist, "train-labels.idx1-ubyte", &labels);
    let source = Idx::open(Collection::Mnist, folder.path()).unwrap();
    let loaded = source.load(&context(), Split::Train).unwrap();
    assert_eq!((loaded.pixels.as_slice(), loaded.labels.as_slice()), (&images[16..], &labels[8..]));
    assert!(matches!(source.load(&context(), Split::Test), Err(DataError::Missing { .. })));
    assert!(matches!(Idx::open(Collection::FashionMnist, folder.path()), Err(DataError::Missing { .. })));
}

#[test]
fn damaged_idx_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let [images, labels] = idx_files(3);
    let load = |images: &[u8], labels: &[u8]| {
        write(folder.path(), "train-images-idx3-ubyte", images);
        write(folder.path(), "train-labels-idx1-ubyte", labels);
        Idx::open(Collection::Mnist, folder.path()).unwrap().load(&context(), Split::Train)
    };
    assert!(load(&images, &labels).is_ok());
    let e = load(&labels, &images).unwrap_err();
    assert!(matches!(&e, DataError::Magic { expected: 0x803, actual: 0x801, .. }), "{e}");
    assert!(matches!(load(&[], &labels), Err(DataError::Magic { actual: 0, .. })));
    assert!(matches!(load(&images[..10], &labels), Err(DataError::Count { what: "bytes of header", .. })));
    let e = load(&images[..16 + 784 + 9], &labels).unwrap_err();
    assert!(matches!(&e, DataError::Truncated { record: 1, expected: 784, actual: 9, .. }), "{e}");
    // One image is missing altogether, or one too many; a label too few.
    let e = load(&images[..16 + 2 * 784], &labels).unwrap_err();
    assert!(matches!(&e, DataError::Count { what: "images", expected: 3, actual: 2, .. }), "{e}");
    let e = load(&[&images[..], &[0]].concat(), &labels).unwrap_err();
    assert!(matches!(&e, DataError::Count { what: "images", expected: 3, actual: 4, .. }), "{e}");
    let [_, fewer] = idx_files(2);
    let e = load(&images, &fewer).unwrap_err();
    assert!(matches!(&e, DataError::Count { what: "labels", expected: 3, actual: 2, .. }), "{e}");
    let mut wrong = labels.clone();
    wrong[9] = 11;
    let e = load(&images, &wrong).unwrap_err();
    assert!(matches!(&e, DataError::Label { record: 1, label: 11, .. }), "{e}");
    let mut narrow = images.clone();
    narrow[15] = 27;
    let e = load(&narrow, &labels).unwrap_err();
    assert!(matches!(&e, DataError::Count { what: "columns in an image", expected: 28, actual: 27, .. }), "{e}");
    // A gzip file that is cut.
    let packed = gzip(&images);
    std::fs::remove_file(folder.path().join("train-images-idx3-ubyte")).unwrap();
    write(folder.path(), "train-images-idx3-ubyte.gz", &packed[..packed.len() - 30]);
    let e = Idx::open(Collection::Mnist, folder.path()).unwrap().load(&context(), Split::Train).unwrap_err();
    assert!(matches!(&e, DataError::Archive { .. }), "{e}");
}

#[test]
fn verify_reports_sums_counts_and_damage() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(verify(&context(), folder.path()), Err(DataError::Missing { .. })));
    let cifar = folder.path().join("cifar-10-batches-bin");
    let mnist = folder.path().join("mnist");
    [&cifar, &mnist].into_iter().for_each(|path: &PathBuf| std::fs::create_dir(path).unwrap());
    made_up_cifar10(&cifar, 20);
    let [images, labels] = idx_files(3);
    write(&mnist, "train-images-idx3-ubyte.gz", &gzip(&images));
    write(&mnist, "train-labels-idx1-ubyte", &labels);
    let reports = verify(&context(), folder.path()).unwrap();
    let [ten, digits] = &reports[..] else { panic!("{reports:?}") };

    assert_eq!((ten.name, ten.files.len(), ten.is_sound()), ("cifar10", 6, true));
    assert!(ten.files.iter().all(|file| file.official.is_none() && file.bytes == 20 * 3073));
    let train = ten.splits[0].as_ref().unwrap();
    assert_eq!((train.records, train.excluded), (100, 0));
    assert_eq!(train.histogram, [10; 10]);

    assert_eq!((digits.name, digits.is_sound()), ("mnist", false));
    assert_eq!(digits.files.iter().map(|file| file.official).collect::<Vec<_>>(), [Some(false), None]);
    assert!(matches!(digits.splits[..], [Ok(_), Err(DataError::Missing { .. })]));
    // A well-known sum.
    write(&mnist, "train-labels-idx1-ubyte", b"");
    let again = verify(&context(), folder.path()).unwrap();
    assert_eq!(again[1].files[1].md5, "d41d8cd98f00b204e9800998ecf8427e");
}
