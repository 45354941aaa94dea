// Properties run the same cases everywhere, so that a red run is about the change. `FAST_CHECK_SEED=random` (or a number) looks further by hand.
import fc from 'fast-check'

const wish = process.env.FAST_CHECK_SEED ?? '1'
if (wish !== 'random') fc.configureGlobal({ seed: Number(wish) })
