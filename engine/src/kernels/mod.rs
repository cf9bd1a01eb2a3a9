//! The hot code. Each kernel equals its twin in the [reference](crate::reference) bit for bit.

pub(crate) mod chunks;
pub mod conv;
pub mod dropout;
pub mod elementwise;
pub mod gemm;
pub mod loss;
pub mod norm;
pub mod pool;
pub mod probe;
pub mod reduce;
pub mod stage;

use crate::simd::Real;

/// `f32` or `f64`: an element type whose kernels are compiled in this crate.
///
/// A generic function is otherwise compiled again in every crate that calls it, and a kernel is compiled for each tier:
/// minutes for a program of a few lines. So the public functions only forward to methods of the element type.
pub trait Scalar:
    Real
    + sealed::Sealed
    + elementwise::Entries<Self>
    + gemm::Entries<Self>
    + probe::Entries<Self>
    + reduce::ColumnEntries<Self>
    + reduce::Entries<Self>
{
}
impl Scalar for f32 {}
impl Scalar for f64 {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// Functions that are generic over the element type `T`, compiled here and once: each body becomes a method of `f32` and
/// of `f64`, with `T` naming that type, and a generic function of the same name and visibility forwards to it.
macro_rules! compiled_once {
    ($Entries:ident<$T:ident>: $($functions:tt)*) => {
        $crate::kernels::compiled_once!(@forward $Entries $T $($functions)*);
        $crate::kernels::compiled_once!(@declare $Entries $T $($functions)*);
        $crate::kernels::compiled_once!(@define $Entries $T f32 $($functions)*);
        $crate::kernels::compiled_once!(@define $Entries $T f64 $($functions)*);
    };
    (@forward $Entries:ident $T:ident $(
        $(#[$meta:meta])* $vis:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty $body:block
    )*) => {$(
        $(#[$meta])*
        $vis fn $name<$T: $crate::kernels::Scalar>($($argument: $type),*) -> $output {
            <$T as $Entries<$T>>::$name($($argument),*)
        }
    )*};
    (@declare $Entries:ident $T:ident $(
        $(#[$meta:meta])* $vis:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty $body:block
    )*) => {
        #[doc(hidden)] // what `Scalar` needs; the functions of the module are its documentation
        pub trait $Entries<$T: $crate::simd::Real> {
            $(fn $name($($argument: $type),*) -> $output;)*
        }
    };
    (@define $Entries:ident $T:ident $Element:ident $(
        $(#[$meta:meta])* $vis:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $output:ty $body:block
    )*) => {
        const _: () = {
            type $T = $Element;
            impl $Entries<$T> for $T {
                $(
                    #[inline(never)]
                    fn $name($($argument: $type),*) -> $output $body
                )*
            }
        };
    };
}
pub(crate) use compiled_once;
