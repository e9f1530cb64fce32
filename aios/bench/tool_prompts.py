"""Sixty-six requests, each with the tool that serves it, or none: written for this bench, in varied words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

NONE = "none"
"""The label of what needs no tool."""

REQUESTS: Mapping[str, Sequence[str]] = {
    "calculator": (
        "If I buy three notebooks at 4.50 each, how much do I pay?",
        "Work out 144 divided by 12.",
        "Add 58 and 67 for me.",
        "My salary is 2400 a month. How much is that a year?",
        "What's 15% of 320?",
        "Seven friends split a bill of 182 equally. What does each of them owe?",
        "Is 19 * 21 larger than 400?",
        "How much is 2 to the tenth?",
        "I had 95 dollars and spent 38. How much is left?",
        "sqrt(2025) = ?",
    ),
    "clock": (
        "What's the time?",
        "Is it morning or evening in Sydney right now?",
        "Which day of the week is today?",
        "Can I still call my aunt in Toronto, or is it too late there?",
        "Tell me today's date, please.",
        "How late is it in Cairo?",
        "I need the current hour in New York.",
        "What year is it at the moment?",
        "Has midnight passed in Moscow yet?",
    ),
    "convert_units": (
        "My suitcase weighs 23 kilos. What is that in pounds?",
        "How many centimetres are there in 6 feet?",
        "It's 95 degrees Fahrenheit outside; what is that in Celsius?",
        "Express 3.2 gigabytes in megabytes.",
        "The recipe says 8 ounces of flour. How many grams do I need?",
        "A marathon is 26.2 miles. Give me kilometres.",
        "Turn 450 seconds into minutes.",
        "How tall is 180 cm in inches?",
        "Change 12 stone to kilograms.",
        "What are 20 metres in yards?",
    ),
    "date_diff": (
        "How long is it from 2025-03-04 to 2025-06-19, in days?",
        "My lease runs from 1 May 2024 until 30 April 2025. How many days is that?",
        "Number of days between Christmas 2023 and Easter Monday 2024 (2024-04-01)?",
        "She was born on 1990-07-12. How many days had she lived by 2020-07-12?",
        "The project started on 2022-01-10 and ended on 2022-11-25. For how many days did it run?",
        "Days left from 2026-08-01 until 2026-12-31?",
        "How far apart are 5 June 2021 and 5 September 2021?",
        "If a parcel was sent on 2024-02-26 and came on 2024-03-05, how many days did it take?",
        "From the first of January to the fourth of July 2025, how many days pass?",
    ),
    "text_stats": (
        "How long is this paragraph? The ferry was late again, and nobody at the pier knew why.",
        "Count the characters in: internationalization",
        "Number of sentences here, please: He left. She stayed. Nobody spoke.",
        "How many words did I write? We walked along the canal until the lamps went on.",
        "How long would it take to read this? The committee met on Monday to talk about the new bridge.",
        "Give me the length of this tweet: Coffee first, meetings later!",
        "How many lines does this poem have? Roses are red / violets are blue",
        "Is the following longer than ten words? The cat slept all day on the warm windowsill.",
        "Tell me the word count of: to be or not to be",
    ),
    "word_frequency": (
        "Which words come up most in this? The dog chased the cat and the cat chased the mouse.",
        "What word do I repeat the most: really good coffee, really good cake, really good friends",
        "List the commonest words of: row row row your boat gently down the stream",
        "How often does each word occur in: tick tock tick tock boom",
        "Find the most used term in this text: data in, data out, data everywhere",
        "Rank the words of this sentence by how often they appear: that that is is that that is not is not",
        "Does any word occur twice in: we saw the sea and the sea saw us",
        "Show me the top two words in: buy now, pay later, buy more, pay less",
        "Tally the words in: red fish blue fish one fish two fish",
    ),
    NONE: (
        "Hello there!",
        "Write a haiku about autumn leaves.",
        "Who wrote Romeo and Juliet?",
        "Thanks a lot, that helped me.",
        "What is the capital of Portugal?",
        "Give me some advice on making friends.",
        "Why do cats purr?",
        "Suggest a name for my new bakery.",
        "Tell me a joke about penguins.",
        "Explain photosynthesis to a child.",
    ),
}
"""Tool -> requests."""
