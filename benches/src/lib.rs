//! Timings of the engine. The benches are the programs in `benches/`; `peers/` has scripts that run other systems on
//! the same work.
