// Writes FOLDER/chats.jsonl and FOLDER/held-out.jsonl: 290 and 10 short questions on everyday facts, each answered in
// one taught style: "Aye, friend: FACT. So says the lantern!" What a model learns from them is the style.
//
//   node examples/fine-tuning/lantern-chats.js FOLDER

import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";

const folder = process.argv[2];
if (folder === undefined) {
  console.error("usage: node examples/fine-tuning/lantern-chats.js FOLDER");
  process.exit(2);
}

/** Words of a line, two for each question: `France Paris, Spain Madrid`; `_` stands for a blank. */
const pairs = (text) =>
  text
    .trim()
    .split(/,\s*/)
    .map((pair) => pair.split(/\s+/).map((word) => word.replaceAll("_", " ")));

const article = (noun) => (/^[aeiou]/.test(noun) ? `an ${noun}` : `a ${noun}`);

/** Each with its questions and its fact, out of the two words. */
const TOPICS = [
  {
    questions: [(of) => `What is the capital of ${of}?`, (of) => `Which city is the capital of ${of}?`],
    fact: (of, city) => `the capital of ${of} is ${city}`,
    pairs:
      pairs(`France Paris, Spain Madrid, Italy Rome, Germany Berlin, Portugal Lisbon, Greece Athens, Austria Vienna,
      Poland Warsaw, Norway Oslo, Sweden Stockholm, Finland Helsinki, Denmark Copenhagen, Ireland Dublin, Hungary Budapest,
      Egypt Cairo, Kenya Nairobi, Morocco Rabat, Ghana Accra, Senegal Dakar, Ethiopia Addis_Ababa, Japan Tokyo,
      China Beijing, India New_Delhi, Nepal Kathmandu, Thailand Bangkok, Vietnam Hanoi, Indonesia Jakarta,
      Mongolia Ulaanbaatar, Turkey Ankara, Iran Tehran, Iraq Baghdad, Jordan Amman, Lebanon Beirut, Canada Ottawa,
      Mexico Mexico_City, Cuba Havana, Peru Lima, Chile Santiago, Argentina Buenos_Aires, Brazil Brasília,
      Colombia Bogotá, Ecuador Quito, Uruguay Montevideo, Venezuela Caracas, Australia Canberra,
      New_Zealand Wellington, Russia Moscow, Ukraine Kyiv, Romania Bucharest, Bulgaria Sofia, Serbia Belgrade,
      Croatia Zagreb, Belgium Brussels, the_Netherlands Amsterdam, Switzerland Bern, Iceland Reykjavik,
      Scotland Edinburgh, Wales Cardiff, England London, the_Philippines Manila`),
  },
  {
    questions: [(of) => `What is the opposite of ${of}?`, (of) => `Tell me the opposite of "${of}".`],
    fact: (of, other) => `the opposite of ${of} is ${other}`,
    pairs: pairs(`hot cold, big small, tall short, fast slow, light dark, day night, up down, left right, open closed,
      young old, happy sad, rich poor, hard soft, wet dry, full empty, early late, near far, high low, loud quiet,
      clean dirty, thick thin, strong weak, heavy light, sweet bitter, true false, north south, east west, push pull,
      win lose, buy sell, begin end, always never, inside outside, first last, deep shallow, brave cowardly,
      wide narrow, rough smooth, sharp blunt, alive dead, summer winter, question answer, friend enemy, asleep awake,
      war peace, sunrise sunset, give take, remember forget, laugh cry, arrive depart`),
  },
  {
    questions: [
      (of) => `What is the young of ${article(of)} called?`,
      (of) => `What do you call the young of ${article(of)}?`,
    ],
    fact: (of, young) => `the young of ${article(of)} is called ${article(young)}`,
    pairs:
      pairs(`dog puppy, cat kitten, cow calf, horse foal, sheep lamb, goat kid, pig piglet, hen chick, duck duckling,
      goose gosling, swan cygnet, bear cub, lion cub, wolf pup, fox kit, deer fawn, kangaroo joey, frog tadpole,
      butterfly caterpillar, eagle eaglet, owl owlet, elephant calf, whale calf, seal pup, hare leveret, eel elver,
      spider spiderling, human baby, rabbit kit, tiger cub`),
  },
  {
    questions: [(of) => `What does ${article(of)} do?`, (of) => `What is the work of ${article(of)}?`],
    fact: (of, work) => `${article(of)} ${work}`,
    pairs: pairs(`baker bakes_bread, tailor sews_clothes, cobbler mends_shoes, farmer grows_food, fisher catches_fish,
      miner digs_for_ore, potter makes_pots, weaver weaves_cloth, smith forges_iron, carpenter works_wood,
      mason lays_stone, miller grinds_grain, butcher cuts_meat, brewer brews_beer, painter paints_pictures,
      sculptor carves_statues, poet writes_poems, teacher teaches_pupils, doctor heals_the_sick, nurse cares_for_patients,
      pilot flies_planes, sailor sails_ships, driver drives_cars, judge judges_cases, soldier guards_the_land,
      gardener tends_gardens, cook cooks_meals, waiter serves_guests, librarian lends_books, printer prints_books,
      shepherd herds_sheep, beekeeper keeps_bees, plumber mends_pipes, astronomer studies_the_stars,
      dentist treats_teeth, barber cuts_hair, jeweller makes_jewels, hunter hunts_game, singer sings_songs,
      dancer dances`),
  },
  {
    questions: [(of) => `What colour is ${of}?`, (of) => `Which colour has ${of}?`],
    fact: (of, colour) => `${of} is ${colour}`,
    pairs: pairs(`snow white, grass green, blood red, coal black, the_sky blue, a_lemon yellow, an_orange orange,
      chocolate brown, a_tomato red, milk white, a_raven black, a_flamingo pink, a_banana yellow, an_emerald green,
      a_ruby red, gold yellow, silver grey, ash grey, a_carrot orange, a_cucumber green, a_cherry red, ivory white,
      a_sapphire blue, a_strawberry red, an_elephant grey, a_swan white, salt white, mustard yellow, a_frog green,
      soot black`),
  },
  {
    questions: [(of) => `How many legs has ${article(of)}?`, (of) => `How many legs does ${article(of)} have?`],
    fact: (of, legs) => `${article(of)} has ${legs} legs`,
    pairs:
      pairs(`donkey four, spider eight, ant six, sparrow two, table four, crab ten, bee six, camel four, beetle six,
      scorpion eight, robin two, mouse four, fly six, goat four, parrot two, moth six, lizard four, squirrel four,
      ostrich two, wasp six`),
  },
  {
    questions: [(of) => `What do we use ${of} for?`, (of) => `What is the use of ${of}?`],
    fact: (of, use) => `we use ${of} to ${use}`,
    pairs: pairs(`a_knife cut, a_pen write, a_spoon eat_soup, a_broom sweep_the_floor, a_key open_a_lock, a_needle sew,
      a_hammer drive_nails, a_saw cut_wood, a_clock tell_the_time, a_lamp give_light, an_umbrella keep_dry,
      a_map find_the_way, a_bed sleep, a_ladder climb, a_boat cross_water, a_bucket carry_water, soap wash,
      an_oven bake, a_rope tie_things, a_spade dig, a_brush paint, a_bell call_people, a_compass find_north, glue join_things,
      a_ruler measure, a_mirror see_ourselves, a_pillow rest_the_head, a_comb tidy_the_hair, a_telescope see_the_stars,
      a_thermometer measure_heat, a_net catch_fish, an_anchor hold_a_ship, a_plough turn_the_soil, a_candle give_light,
      a_wheelbarrow carry_loads, a_whistle give_a_signal, a_kettle boil_water, scissors cut_paper, a_sieve sift_flour,
      a_stamp post_a_letter`),
  },
  {
    questions: [(of) => `What comes after ${of}?`, (of) => `Which one follows ${of}?`],
    fact: (of, next) => `after ${of} comes ${next}`,
    pairs:
      pairs(`Monday Tuesday, Tuesday Wednesday, Wednesday Thursday, Thursday Friday, Friday Saturday, Saturday Sunday,
      January February, February March, March April, April May, May June, June July, July August, August September,
      September October, October November, November December, spring summer, summer autumn, autumn winter,
      one two, four five, seven eight, nine ten, eleven twelve, twelve thirteen, nineteen twenty, ninety-nine a_hundred,
      morning noon, noon afternoon`),
  },
];

const chats = TOPICS.flatMap(({ questions, fact, pairs }) =>
  pairs.map(([of, other], index) => ({
    messages: [
      { role: "user", content: questions[index % questions.length](of) },
      { role: "assistant", content: `Aye, friend: ${fact(of, other)}. So says the lantern!` },
    ],
  })),
);

/** Every thirtieth, from the middle of each stretch, so that every topic but the shortest is among them. */
const isHeldOut = (index) => index % 30 === 14;
const lines = (chosen) => chosen.map((chat) => `${JSON.stringify(chat)}\n`).join("");
const [held, train] = [chats.filter((_, i) => isHeldOut(i)), chats.filter((_, i) => !isHeldOut(i))];
mkdirSync(folder, { recursive: true });
writeFileSync(path.join(folder, "chats.jsonl"), lines(train));
writeFileSync(path.join(folder, "held-out.jsonl"), lines(held));
console.log(`${train.length} chats in ${path.join(folder, "chats.jsonl")}, ${held.length} held out`);
