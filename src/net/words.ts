/**
 * Six words that two people read to each other to see that no third machine stands between theirs. 256 words, one for each byte: 48 bits for six. No two share their first three
 * letters or are less than three letters apart, so that what is misheard is noticed.
 */

const WORDS = `
abbey acorn agent album almond anchor angle april arcade arrow artist aspen atlas attic autumn award axis badge baker bamboo banana barn basil beach berry bingo bison bonus
border bottle bowl bread brick bronze brush bubble bucket butter cabin cactus camel canoe cargo castle cedar cello chalk chess choir cinema circle citrus clay cliff clock coast
cocoa coffee copper coral cotton coyote cradle crown daisy denim depot desert diesel dinner doctor domino donkey dragon drum duck dynamo echo eight elbow ember empire engine
envoy essay fabric family farmer fence fiddle field fifty figure filter flame flint forest fossil fruit funnel galaxy garden geyser giant globe goblet gold grape guitar harbor
helmet herald hobby hotel husky igloo image index insect island ivory jaguar jersey jewel jigsaw junior kayak kernel kimono kitten kiwi koala ladder lagoon lava leaf lemon lilac
linen lizard lunar lyric magnet maple mask meadow mentor metal mirror moon mosaic muffin museum napkin nature nebula needle nephew nest nickel north nugget nutmeg nylon ocean
octave office olive omega onion orange osprey owner oxygen oyster ozone palace panda patrol pencil picnic pillow pink pirate planet poem polar potato prism pueblo pulse puppet
purple quail quiver quota rabbit radio raft ranch raven razor recipe ribbon rose ruby sailor salad sauce scarf school season sheep sketch smoke soap sonnet spider square stable
street studio summer symbol syrup tapir target temple tennis tiger topaz trophy tulip tundra tuxedo twelve urban usher vacuum valley vessel violin voice vortex voyage waffle
walnut wheat window writer yacht yogurt zebra zenith zephyr zigzag`
  .trim()
  .split(/\s+/)

const WORDS_SAID = 6

/** The first six bytes of a digest as words, joined by spaces. */
export function sixWords(digest: Uint8Array): string {
  return Array.from(digest.subarray(0, WORDS_SAID), (byte) => WORDS[byte]!).join(' ')
}
