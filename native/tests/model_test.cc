// Model files, whole and damaged, and languages.
#include "model.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "audio.h"
#include "speech.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

namespace voicestream::stt {
namespace {

namespace fs = std::filesystem;

const auto kWanted = [] { return false; };

std::vector<float> samples() { return decode_pcm16(speech()); }

// Model's constructor in a place where whisper.cpp finds the fault in the file: it then leaks what it had allocated.
void load_with_whispers_leak(const std::string& path) {
#ifdef __SANITIZE_ADDRESS__
  const __lsan::ScopedDisabler ignored;
#endif
  Model(path, false);
}

// A copy of the model, to be spoilt.
class ModelFileTest : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_MODEL();
    whisper_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    fs::copy_file(STT_TEST_MODEL, path_, fs::copy_options::overwrite_existing);
  }
  void TearDown() override { fs::remove(path_); }

  void overwrite(std::int64_t at, const std::string& bytes) {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(at);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  void overwrite(std::int64_t at, std::int32_t number) {
    overwrite(at, std::string(reinterpret_cast<const char*>(&number), sizeof number));
  }

  std::string complaint() {
    try {
      read_model_file(path_);
    } catch (const ModelError& error) {
      return error.what();
    }
    return "";
  }

  const std::string path_ = testing::TempDir() + "/model_test.bin";
};

TEST_F(ModelFileTest, SaysWhatModelItIs) {
  const ModelFile file = read_model_file(path_);
  EXPECT_TRUE(file.english);
  EXPECT_TRUE(file.float16);
  EXPECT_FALSE(file.quantized);
  EXPECT_EQ(file.bands, 80);
  EXPECT_EQ(file.audio_layers, 4);
  EXPECT_EQ(file.text_layers, 4);
}

TEST_F(ModelFileTest, CutShortAnywhereIsNoModel) {
  const auto size = static_cast<std::int64_t>(fs::file_size(path_));
  for (const std::int64_t length : {size - 1, size / 2, std::int64_t{500000}, std::int64_t{48}, std::int64_t{0}}) {
    fs::resize_file(path_, static_cast<std::uintmax_t>(length));
    EXPECT_NE(complaint().find(path_ + " is no model that whisper.cpp can load: "), std::string::npos) << length;
    EXPECT_THROW(Model(path_, false), ModelError) << length;
  }
}

TEST_F(ModelFileTest, SizesThatMakeNoSenseAreAnError) {
  for (int field = 0; field < 11; ++field) {
    const std::int64_t at = 4 * (field + std::int64_t{1});
    std::int32_t sound = 0;
    std::ifstream file(path_, std::ios::binary);
    file.seekg(at);
    file.read(reinterpret_cast<char*>(&sound), sizeof sound);
    for (const std::int32_t number : {-1, 1 << 30}) {
      overwrite(at, number);
      EXPECT_NE(complaint(), "") << field;
    }
    overwrite(at, sound);
  }
  EXPECT_EQ(complaint(), "");
}

TEST_F(ModelFileTest, WrongBytesInItsLayoutAreAnErrorOrDoNoHarm) {
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    overwrite(48 + random() % 500000, std::string(1, static_cast<char>(random())));
    complaint();
  }
}

TEST_F(ModelFileTest, WeightsThatAreNoNumbersAreAnError) {
  overwrite(read_model_file(path_).float16_matrices.back().data_at, "\xff\xff");
  EXPECT_NE(complaint().find("are no numbers"), std::string::npos);
}

TEST_F(ModelFileTest, AnotherTypeThanThatOfItsTensorsIsAnError) {
  for (const std::int32_t type : {0, 5, 7, 25, 30, 200, 2007}) {
    overwrite(kFileTypeAt, type);
    EXPECT_THROW(load_with_whispers_leak(path_), ModelError) << type;
  }
}

TEST_F(ModelFileTest, TensorOfAnotherNameIsAnError) {
  const std::int64_t type_at = read_model_file(path_).float16_matrices.front().type_at;
  overwrite(type_at + 12, "x");
  try {
    load_with_whispers_leak(path_);
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_NE(std::string(error.what()).find("tensors are not those of its header"), std::string::npos);
  }
}

TEST(ModelFile, QuantisedIsRefusedWhereAmxWouldCrash) {
  ModelFile file;
  file.quantized = true;
  EXPECT_NE(objection_to(file, true, true).find("AMX"), std::string::npos);
  EXPECT_EQ(objection_to(file, true, false), "");
  EXPECT_EQ(objection_to(file, false, true), "");
  file.quantized = false;
  EXPECT_EQ(objection_to(file, true, true), "");
}

class LanguageTest : public testing::Test {
 protected:
  static std::string path() { return (fs::path(STT_TEST_MODEL).parent_path() / "ggml-base.bin").string(); }

  static void SetUpTestSuite() {
    if (fs::exists(path())) {
      whisper_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
      model_ = new Model(path(), false);
    }
  }
  static void TearDownTestSuite() {
    delete model_;
    model_ = nullptr;
  }
  void SetUp() override {
    if (model_ == nullptr) GTEST_SKIP() << "no model " << path() << ": run `voicestream models pull base`";
  }

  static Model* model_;
};

Model* LanguageTest::model_ = nullptr;

TEST_F(LanguageTest, IsFoundOutWhateverWasHeardBefore) {
  Recognizer recognizer(*model_, 1);
  EXPECT_EQ(recognizer.transcribe(samples(), "", kWanted).language, "en");
  EXPECT_EQ(recognizer.transcribe(samples(), "de", kWanted).language, "de");
  const Transcript heard = recognizer.transcribe(samples(), "", kWanted);
  EXPECT_EQ(heard.language, "en");
  EXPECT_NE(heard.text.find("what your country can do for you"), std::string::npos) << heard.text;
}

TEST_F(LanguageTest, FindingItOutCanBeEnded) {
  Recognizer recognizer(*model_, 1);
  std::vector<float> half_a_minute;
  while (half_a_minute.size() < 30 * kRate) {
    const auto more = samples();
    half_a_minute.insert(half_a_minute.end(), more.begin(), more.end());
  }
  half_a_minute.resize(30 * kRate);
  int asked = 0;
  const Transcript heard = recognizer.transcribe(half_a_minute, "", [&] { return ++asked > 0; });
  EXPECT_EQ(heard.text, "");
  EXPECT_EQ(asked, 2);  // when the encoder was done, and at the end: no token was decoded
  EXPECT_EQ(recognizer.transcribe(samples(), "", kWanted).language, "en");
}

}  // namespace
}  // namespace voicestream::stt
