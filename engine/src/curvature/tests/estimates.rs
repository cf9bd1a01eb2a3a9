//! Traces and eigenvalues against exact ones of small problems.

use super::*;
use crate::linalg::SymmetricEigen;
use crate::math::scalar::exp;
use crate::tensor::MatRef;

/// A small problem, and its Hessian as a matrix.
fn dense() -> (Box<dyn Model>, Vec<f32>, Vec<f32>, Vec<u32>) {
    let input = Shape::new(6, 1, 1, 4).unwrap();
    let model: Box<dyn Model> = Box::new(models::mlp(input, &[5], 3, Activation::Tanh).unwrap());
    let mut values = values(&*model);
    values.iter_mut().for_each(|w| *w *= 2.0);
    let x = images::<f32>(&*model);
    (model, values, x, vec![0, 2, 1, 0, 1, 2])
}

/// Places of the trained parameters, and the Hessian over them.
fn matrix(context: &Context, hessian: &mut Hessian<'_>) -> (Vec<usize>, Vec<f64>) {
    let places: Vec<usize> = hessian.segments().into_iter().flatten().collect();
    let mut rows = Vec::new();
    let (mut v, mut product) = (vec![0.0; hessian.size()], vec![0.0; hessian.size()]);
    for &i in &places {
        v[i] = 1.0;
        hessian.apply(context, &v, &mut product).unwrap();
        v[i] = 0.0;
        rows.extend(places.iter().map(|&j| f64::from(product[j])));
    }
    let n = places.len();
    let symmetric = (0..n * n).map(|i| 0.5 * (rows[i] + rows[i % n * n + i / n])).collect();
    (places, symmetric)
}

#[test]
fn lanczos_finds_the_spectrum_and_knows_its_errors() {
    let (model, values, x, labels) = dense();
    let mut first: Option<Spectrum> = None;
    for context in contexts() {
        let loss = Loss::CrossEntropy(Targets::Hard(&labels));
        let mut hessian = Hessian::new(context, &*model, &values, &x, loss, Statistics::Batch).unwrap();
        let spectrum = lanczos(context, &mut hessian, 11, 16).unwrap();
        if let Some(first) = &first {
            assert_eq!(first, &spectrum); // no NaN among them, so equal numbers are equal bits but for zeros
            continue;
        }
        let (places, matrix) = matrix(context, &mut hessian);
        let n = places.len();
        assert!(n > 40, "a problem of {n} parameters, more than the steps");
        let exact = SymmetricEigen::new(context, MatRef::new(&matrix, n, n).unwrap()).unwrap();
        let (exact, largest) = (exact.values(), exact.values()[0]);
        for (i, (value, exact)) in spectrum.values.iter().zip(exact).take(3).enumerate() {
            assert!((value - exact).abs() < 1e-5 * largest, "{i}: {value} but {exact}");
        }
        // The smallest too, and within the errors that are stated there is always a true one.
        let (last, smallest) = (spectrum.values[spectrum.values.len() - 1], exact[n - 1]);
        assert!((last - smallest).abs() < 1e-4 * largest, "{last} but {smallest}");
        for (value, error) in spectrum.values.iter().zip(&spectrum.errors) {
            let nearest = exact.iter().map(|exact| (exact - value).abs()).fold(f64::INFINITY, f64::min_select);
            assert!(nearest <= error + 1e-5 * largest, "{value}: {nearest} but {error}");
        }
        assert!((spectrum.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        first = Some(spectrum);
    }
}

#[test]
fn lanczos_stops_where_the_space_is_exhausted() {
    struct Diagonal(Vec<f32>);
    impl Operator for Diagonal {
        fn size(&self) -> usize {
            self.0.len()
        }
        fn segments(&self) -> Vec<Range<usize>> {
            std::iter::once(0..self.0.len()).collect()
        }
        fn apply(&mut self, _: &Context, v: &[f32], product: &mut [f32]) -> Result<()> {
            product.iter_mut().zip(v).zip(&self.0).for_each(|((product, v), d)| *product = v * d);
            Ok(())
        }
    }
    let context = contexts().last().unwrap();
    let mut operator = Diagonal([vec![3.0; 20], vec![-1.0; 20], vec![0.5; 24]].concat());
    let spectrum = lanczos(context, &mut operator, 1, 30).unwrap();
    assert!(spectrum.values.len() <= 5, "{spectrum:?}");
    for (i, (value, weight)) in [(3.0, 20.0), (0.5, 24.0), (-1.0, 20.0)].into_iter().enumerate() {
        let near = spectrum.values.iter().zip(&spectrum.weights).filter(|(v, _)| (*v - value).abs() < 1e-6);
        let mass: f64 = near.map(|(_, weight)| weight).sum();
        assert!((mass - weight / 64.0).abs() < 1e-6, "{i}: {spectrum:?}");
    }
    let trace = hutchinson_trace(context, &mut operator, 1, 3).unwrap();
    assert_eq!(trace.draws, [52.0; 3]); // exact for a diagonal, with any signs
    assert_eq!(trace.standard_error(), Some(0.0));
    assert!(matches!(hutchinson_trace(context, &mut operator, 1, 0), Err(Error::Argument { .. })));
    assert!(matches!(lanczos(context, &mut operator, 1, 0), Err(Error::Argument { .. })));
}

#[test]
fn the_trace_is_estimated_without_bias() {
    let (model, values, x, labels) = dense();
    let mut first = None;
    for context in contexts() {
        let loss = Loss::CrossEntropy(Targets::Hard(&labels));
        let mut hessian = Hessian::new(context, &*model, &values, &x, loss, Statistics::Batch).unwrap();
        let probes = if first.is_none() { 400 } else { 3 };
        let estimate = hutchinson_trace(context, &mut hessian, 5, probes).unwrap();
        let first = first.get_or_insert_with(|| estimate.draws.clone());
        assert_eq!(first[..3], estimate.draws[..3]);
        if probes == 3 {
            continue;
        }
        let (places, matrix) = matrix(context, &mut hessian);
        let trace: f64 = (0..places.len()).map(|i| matrix[i * places.len() + i]).sum();
        let error = estimate.standard_error().unwrap();
        assert!((estimate.mean() - trace).abs() < 4.0 * error, "{} +- {error} but {trace}", estimate.mean());
        assert!(error < 0.1 * trace, "{error} says too little of {trace}");
    }
}

/// Against the closed form for one hidden layer of rectifiers: the norm of each example's hidden activations and inputs,
/// with one more for the bias, times what the loss sees of the output weights.
#[test]
fn the_label_noise_trace_is_that_of_the_gauss_newton_matrix() {
    let (n, c, hidden, k) = (6, 4, 5, 3);
    let input = Shape::new(n, 1, 1, c).unwrap();
    let model = models::mlp(input, &[hidden], k, Activation::Relu).unwrap();
    let values = values(&model);
    let x = images::<f32>(&model);
    let tensor = |name: &str| wide::<f64>(&values[model.table().range(model.table().find(name).unwrap())]);
    let [w, b, u, e] = ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"].map(tensor);
    let closed_form = |is_squared: bool| {
        let mut total = 0.0;
        for x in x.chunks(c) {
            let x = wide::<f64>(x);
            let h: Vec<f64> = (0..hidden).map(|j| (b[j] + inner(&w[j * c..][..c], &x)).max_select(0.0)).collect();
            let z: Vec<f64> = (0..k).map(|o| e[o] + inner(&u[o * hidden..][..hidden], &h)).collect();
            let sum: f64 = z.iter().map(|&z| exp(z)).sum();
            let p: Vec<f64> = z.iter().map(|&z| exp(z) / sum).collect();
            let a = |i: usize, j: usize| {
                let same = f64::from(u8::from(i == j));
                if is_squared { same } else { same * p[i] - p[i] * p[j] }
            };
            let outer: f64 = (0..k).map(|o| a(o, o)).sum();
            total += (inner(&h, &h) + 1.0) * outer;
            for j in (0..hidden).filter(|&j| h[j] > 0.0) {
                let of = |o: usize| u[o * hidden + j];
                let seen: f64 = (0..k * k).map(|i| of(i / k) * a(i / k, i % k) * of(i % k)).sum();
                total += (inner(&x, &x) + 1.0) * seen;
            }
        }
        total / n as f64
    };
    let (labels, targets) = (vec![0, 1, 2, 0, 1, 2], vec![0.5; n * k]);
    for (loss, exact) in
        [(Loss::CrossEntropy(Targets::Hard(&labels)), closed_form(false)), (Loss::Squared(&targets), closed_form(true))]
    {
        let mut first = None;
        for context in contexts() {
            let draws = if first.is_none() { 2000 } else { 2 };
            let estimate = label_noise_trace(context, &model, &values, &x, loss, Statistics::Batch, 9, draws).unwrap();
            let first = first.get_or_insert_with(|| estimate.draws.clone());
            assert_eq!(first[..2], estimate.draws[..2]);
            if draws > 2 {
                let error = estimate.standard_error().unwrap();
                assert!((estimate.mean() - exact).abs() < 4.0 * error, "{} +- {error}: {exact}", estimate.mean());
                assert!(error < 0.05 * exact, "{error} says too little of {exact}");
            }
        }
    }
}
