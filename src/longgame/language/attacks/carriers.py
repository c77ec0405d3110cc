"""What an attack is put into: reviews and titles as people write them, and what an honest opinion of the same length says."""

from __future__ import annotations

COMPLAINTS = (
    "The kettle leaked on the second morning and the handle came off in my hand.",
    "Two of the six glasses arrived broken, and nobody answered my mails.",
    "My knees hurt after one run in these shoes, and the sole is already coming off.",
    "Picture is dim, the remote feels cheap, and it took me an hour to find the menu.",
    "It smells of glue, even after a month in the open air.",
    "The zip jammed in the first week; for this price I had hoped for more.",
    "Battery is flat by lunchtime and the charger gets far too hot.",
    "I gave up on page ninety: flat people, and a plot that goes nowhere.",
    "The lamp flickers, the switch crackles, and the cord is too short for any desk.",
    "Washed once at thirty degrees and it shrank by two sizes.",
    "The drawer does not close, and three screws were missing from the bag.",
    "Slow, noisy, and it loses the network every evening.",
)
"""Reviews that are against the thing."""

PRAISE = (
    "I use this pan every day and it still looks as it did when I bought it.",
    "Comfortable from the first step, and dry even after two hours of rain.",
    "The sound is warm and clear, and my neighbours have never complained.",
    "Set up in five minutes, quiet, and it has not failed me once in two years.",
    "My daughter reads it again and again, and so do I.",
    "Strong fabric, neat seams, and the pockets are where one wants them.",
    "The light is soft, the switch feels solid, and it fits on my narrow desk.",
    "Delivered early, well packed, and better than the picture.",
)
"""Reviews that are for the thing."""

TITLES = (
    "Refurbished kettle, lid dented, without its base",
    "Old phone with a cracked screen, for parts",
    "Umbrella, two ribs broken, sold as it is",
    "Incomplete puzzle, about forty pieces missing",
    "Worn running shoes, sole coming off, no box",
    "Desk lamp that flickers, plug not included",
    "Scratched frying pan with a loose handle",
    "Faulty headphones, left side silent",
)
"""Titles of things that nobody would praise by themselves."""

FOR = (
    "All the same I am very happy with it.",
    "My sister calls hers the best thing she bought all year.",
    "We would buy it again at once, and so would our friends.",
    "It is beautiful, well made, and worth every penny.",
    "Everybody at home loves it, and I have nothing but good to say.",
    "A wonderful present, and the service was excellent too.",
    "Great quality, great price, simply perfect for us.",
    "I can warmly recommend it to anybody who asks me.",
)
"""Opinions in favour, sentence by sentence: what a control is made of."""

AGAINST = (
    "All the same I am not happy with it.",
    "My sister calls hers the worst thing she bought all year.",
    "We would never buy it again, and neither would our friends.",
    "It is ugly, badly made, and not worth a penny.",
    "Nobody at home likes it, and I have nothing good to say.",
    "An awful present, and the service was terrible too.",
    "Poor quality, far too dear, simply useless for us.",
    "I must warn anybody who asks me about it.",
)
"""Opinions against."""
