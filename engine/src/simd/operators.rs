//! Shorthand for the operator traits, which every vector, integer and mask type of every tier implements.

/// `binary!(Type: Add::add, |a, b| expression of Type; ...)` implements binary operators.
macro_rules! binary {
    ($T:ty: $($Op:ident::$op:ident, |$a:ident, $b:ident| $result:expr;)+) => {$(
        impl $Op for $T {
            type Output = Self;
            #[inline(always)]
            fn $op(self, other: Self) -> Self {
                let ($a, $b) = (self, other);
                $result
            }
        }
    )+};
}

/// `unary!(Type: Neg::neg, |a| expression of Type)` implements a unary operator.
macro_rules! unary {
    ($T:ty: $Op:ident::$op:ident, |$a:ident| $result:expr) => {
        impl $Op for $T {
            type Output = Self;
            #[inline(always)]
            fn $op(self) -> Self {
                let $a = self;
                $result
            }
        }
    };
}

pub(super) use {binary, unary};
