/*
 * Code with much debug information and deep inlining: what a C++ server built
 * with -g has.  Loaded for its tables; never run.
 */
#include <algorithm>
#include <map>
#include <random>
#include <regex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

template <int N> struct item {
	int value;
	bool operator<(const item &other) const
	{
		return value < other.value;
	}
};

template <int N> static int work(int count)
{
	std::map<item<N>, std::vector<std::string>> names;
	std::vector<item<N>> items;
	std::mt19937 random(static_cast<unsigned>(count));
	std::ostringstream text;

	for (int i = 0; i < count; i++)
		names[item<N>{ static_cast<int>(random()) }].push_back(std::to_string(i));
	for (auto &name : names)
		items.push_back(name.first);
	std::sort(items.begin(), items.end());
	std::stable_sort(items.begin(), items.end(), [](auto &a, auto &b) { return b < a; });
	for (auto &name : names)
		text << name.first.value << name.second.size();
	return std::regex_search(text.str(), std::regex("a+b" + std::to_string(N)));
}

template <int... N> static int all(int count, std::integer_sequence<int, N...>)
{
	return (work<N>(count) + ...);
}

extern "C" int bench_plugin(int count)
{
	return all(count, std::make_integer_sequence<int, 20>());
}
