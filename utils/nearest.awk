# The line that is most like a word, if no more than a third of it has to be changed:
# printf '%s\n' nj stage | awk -v wanted=stge -f nearest.awk

# The least number of letters to insert, drop or change (Levenshtein 1966), by the table of all prefixes.
function distance(a, b,    i, j, cost, table) {
    for (i = 0; i <= length(a); i++) table[i, 0] = i
    for (j = 0; j <= length(b); j++) table[0, j] = j
    for (i = 1; i <= length(a); i++)
        for (j = 1; j <= length(b); j++) {
            cost = table[i - 1, j - 1] + (substr(a, i, 1) != substr(b, j, 1))
            if (table[i - 1, j] + 1 < cost) cost = table[i - 1, j] + 1
            if (table[i, j - 1] + 1 < cost) cost = table[i, j - 1] + 1
            table[i, j] = cost
        }
    return table[length(a), length(b)]
}

BEGIN { least = length(wanted) / 3 }
{
    found = distance(wanted, $0)
    if (found <= least && (nearest == "" || found < best)) { nearest = $0; best = found }
}
END { if (nearest != "") print nearest }
