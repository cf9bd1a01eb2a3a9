use super::*;
use regularity_engine::optim::{Adam, Rate, Sgd};
use regularity_engine::params::{Groups, Kind, TableBuilder};
use regularity_engine::{Context, Isa};

fn table() -> Table {
    let mut builder = TableBuilder::new();
    builder.push("conv1.weight", &[4, 3, 1, 1], Kind::Weight).unwrap();
    builder.push("bn1.running_mean", &[4], Kind::Buffer).unwrap();
    builder.push("fc.weight", &[2, 4], Kind::Weight).unwrap();
    builder.finish().unwrap()
}

/// A run after two steps.
fn run(table: &Table, mut optimizer: Optimizer) -> (Vec<f32>, Optimizer) {
    let context = Context::new(Isa::detect(), 1).unwrap();
    let mut values: Vec<f32> = vec![0.0; table.len()];
    for entry in table.entries() {
        values[entry.range()].iter_mut().enumerate().for_each(|(i, x)| *x = i as f32 - 1.5);
    }
    let gradient: Vec<f32> = values[..table.trained_len()].iter().map(|x| x * 0.3).collect();
    let rates = [Rate { lr: 0.1, weight_decay: 0.01 }];
    for _ in 0..2 {
        optimizer.step(&context, &Groups::one(table), &rates, &mut values, &gradient).unwrap();
    }
    (values, optimizer)
}

fn sgd(table: &Table) -> Optimizer {
    Optimizer::Sgd(Sgd::new(table, 0.9, true).unwrap())
}

#[test]
fn what_was_written_is_restored_bit_for_bit_and_nothing_else_is_left_in_the_folder() {
    let table = table();
    let adam = || Optimizer::Adam(Adam::new(&table, [0.9, 0.999], 1e-8).unwrap());
    let makers: [&dyn Fn() -> Optimizer; 2] = [&|| sgd(&table), &adam];
    for make in makers {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("step-2.safetensors");
        let (values, optimizer) = run(&table, make());
        let mut checkpoint = Checkpoint::new(&table, &values, Some(&optimizer), 2).unwrap();
        checkpoint.settings.insert("config".to_owned(), "ab\"c".to_owned());
        checkpoint.write(&path).unwrap();
        checkpoint.write(&path).unwrap(); // replaces the first
        let first = fs::read(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        let read = Checkpoint::read(&path).unwrap();
        assert_eq!(read, checkpoint);
        let (mut restored, mut fresh) = (vec![0.0; table.len()], make());
        read.restore(&path, &table, &mut restored, Some(&mut fresh)).unwrap();
        assert_eq!(restored, values);
        assert_eq!((fresh.steps(), fresh.state()), (2, optimizer.state()));
        read.write(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first, "the same checkpoint is the same bytes");
    }
}

#[test]
fn a_file_with_any_flipped_bit_or_missing_end_is_refused() {
    let (table, folder) = (table(), tempfile::tempdir().unwrap());
    let path = folder.path().join("c.safetensors");
    let (values, optimizer) = run(&table, sgd(&table));
    Checkpoint::new(&table, &values, Some(&optimizer), 2).unwrap().write(&path).unwrap();
    let good = fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        match Checkpoint::read(&path) {
            Err(e @ Error::Checkpoint { .. }) => e.to_string(),
            // A flipped bit in a name leaves a readable file, whose digest then differs.
            other => panic!("not refused: {other:?}"),
        }
    };
    for length in [0, 7, 8, 20, good.len() / 2, good.len() - 1] {
        refused(&good[..length]);
    }
    let header_end = 8 + u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    let settings = good.windows(10).position(|w| w == b"settings\\\"").unwrap();
    for place in (0..settings).step_by(3).chain(header_end..good.len()) {
        let mut bad = good.clone();
        bad[place] ^= 1 << (place % 7);
        refused(&bad);
    }
    assert!(refused(b"not a checkpoint at all").contains("damaged"));
}

#[test]
fn a_checkpoint_of_another_network_is_refused_and_changes_nothing() {
    let (table, folder) = (table(), tempfile::tempdir().unwrap());
    let path = folder.path().join("c.safetensors");
    let (values, optimizer) = run(&table, sgd(&table));
    let checkpoint = Checkpoint::new(&table, &values, Some(&optimizer), 2).unwrap();
    let refused = |table: &Table, optimizer: Option<&mut Optimizer>, reason: &str| {
        let mut values = vec![7.0; table.len()];
        let message = checkpoint.restore(&path, table, &mut values, optimizer).unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
        assert!(values.iter().all(|x| *x == 7.0));
    };
    let other = |name: &str, shape: &[usize]| {
        let mut builder = TableBuilder::new();
        builder.push(name, shape, Kind::Weight).unwrap();
        builder.finish().unwrap()
    };
    refused(&other("conv2.weight", &[3]), None, "no `conv2.weight`");
    refused(&other("conv1.weight", &[4, 3]), None, "the shape [4, 3, 1, 1]");
    refused(&other("conv1.weight", &[4, 3, 1, 1]), None, "no place in this run");
    let adam = Adam::new(&table, [0.9, 0.999], 1e-8).unwrap();
    refused(&table, Some(&mut Optimizer::Adam(adam)), "no `optimizer.exp_avg");
}

#[test]
fn weights_of_others_load_by_name_with_their_types() {
    let (table, folder) = (table(), tempfile::tempdir().unwrap());
    let path = folder.path().join("w.safetensors");
    struct Raw(Dtype, Vec<usize>, Vec<u8>);
    impl View for &Raw {
        fn dtype(&self) -> Dtype {
            self.0
        }
        fn shape(&self) -> &[usize] {
            &self.1
        }
        fn data(&self) -> Cow<'_, [u8]> {
            Cow::Borrowed(&self.2)
        }
        fn data_len(&self) -> usize {
            self.2.len()
        }
    }
    let halves: Vec<u8> = [0x3c00u16, 0xc000, 0x0001, 0x7bff].iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut file = BTreeMap::new();
    file.insert("conv1.weight", Raw(Dtype::F16, vec![4, 3, 1, 1], halves.repeat(3)));
    file.insert("bn1.running_mean", Raw(Dtype::BF16, vec![4], [0x80u8, 0x3f].repeat(4)));
    file.insert("bn1.num_batches_tracked", Raw(Dtype::I64, vec![], vec![0; 8]));
    fs::write(&path, safetensors::serialize(&file, None).unwrap()).unwrap();

    let mut values = vec![0.0; table.len()];
    read_weights(&path, &table, |entry| !entry.name().starts_with("fc"), &mut values).unwrap();
    let of = |name: &str| values[table.range(table.find(name).unwrap())].to_vec();
    assert_eq!(of("conv1.weight")[..4], [1.0, -2.0, f32::from_bits(0x3380_0000), 65504.0]);
    assert_eq!(of("bn1.running_mean"), [1.0; 4]);
    assert_eq!(of("fc.weight"), [0.0; 8]);
    let message = |result: Result<()>| result.unwrap_err().to_string();
    assert!(message(read_weights(&path, &table, |_| true, &mut values)).contains("no `fc.weight`"));
    assert!(message(Checkpoint::read(&path).map(drop)).contains("no state of a run"));
    file.insert("fc.bias", Raw(Dtype::F32, vec![1], vec![0; 4]));
    fs::write(&path, safetensors::serialize(&file, None).unwrap()).unwrap();
    assert!(message(read_weights(&path, &table, |_| false, &mut values)).contains("`fc.bias` has no place"));
}

#[test]
fn a_folder_that_is_not_there_is_an_error_of_writing() {
    let (table, folder) = (table(), tempfile::tempdir().unwrap());
    let path = folder.path().join("missing").join("c.safetensors");
    let checkpoint = Checkpoint::new(&table, &vec![0.0; table.len()], None, 0).unwrap();
    assert!(matches!(checkpoint.write(&path), Err(Error::Write { .. })));
    assert!(matches!(Checkpoint::read(&path), Err(Error::Read { .. })));
}
