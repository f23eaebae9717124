// A lane loads and stores a chunk at once.
// Provides: UNIT.

const UNIT = 1u;
