// A lane loads and stores two chunks at once that are a pair.
// Provides: UNIT.

const UNIT = 2u;
